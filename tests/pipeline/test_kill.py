"""kill -9 at any moment of a stage: the rerun ends with the bytes of an undisturbed run."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from factory import status
from factory.workspace import Workspace
from tests.conftest import ROOT, make_workspace, ran

pytestmark = pytest.mark.slow

SHORT = {
    "training": {"max_steps": 24, "save_steps": 6, "logging_steps": 2},
    "evaluation": {"max_samples": 20, "max_new_tokens": 16},
}
ADAPTER = "models/checkpoints/lora/adapter_model.safetensors"


@pytest.fixture(scope="module")
def before_training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose next stage is finetune."""
    folder = make_workspace(tmp_path_factory.mktemp("kill") / "ws", SHORT)
    ran("run", "format", cwd=folder)
    ran("run", "baseline", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def undisturbed(before_training: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same workspace after one training that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "ws"
    shutil.copytree(before_training, folder)
    ran("run", "finetune", cwd=folder)
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def start(folder: Path, stage: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "factory", "run", stage],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_for_step(folder: Path, step: int, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = status.read(Workspace(folder))
        if found and (found["step"] or 0) >= step:
            return
        time.sleep(0.05)
    raise AssertionError(f"step {step} was not reached in {seconds} s")


@pytest.mark.parametrize("step", [2, 8, 20])
def test_a_killed_training_resumes_to_the_same_adapter(
    before_training: Path, undisturbed: Path, tmp_path: Path, step: int
) -> None:
    folder = tmp_path / "ws"
    shutil.copytree(before_training, folder)
    process = start(folder, "finetune")
    wait_for_step(folder, step)
    process.kill()
    process.wait()
    assert not Workspace(folder).gate_path("finetune").exists()
    ran("run", "finetune", cwd=folder)
    assert sha256(folder / ADAPTER) == sha256(undisturbed / ADAPTER)


def test_after_a_kill_status_says_stale(before_training: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ws"
    shutil.copytree(before_training, folder)
    process = start(folder, "finetune")
    wait_for_step(folder, 2)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        found = ran("status", cwd=folder)["training"]
        if found["stale"]:
            return
        time.sleep(0.2)
    raise AssertionError(f"still not stale: {found}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_within_ten_seconds_and_can_go_on(
    before_training: Path, undisturbed: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = tmp_path / "ws"
    shutil.copytree(before_training, folder)
    process = start(folder, "finetune")
    wait_for_step(folder, 4)
    process.send_signal(number)
    assert process.wait(timeout=30) == 130
    assert ran("status", cwd=folder)["training"]["phase"] == "interrupted"
    ran("run", "finetune", cwd=folder)
    assert sha256(folder / ADAPTER) == sha256(undisturbed / ADAPTER)


@pytest.mark.parametrize("delay", [0.3, 1.5, 3.0])
@pytest.mark.parametrize("stage", ["format", "baseline"])
def test_a_killed_stage_run_again_writes_the_same_bytes(
    before_training: Path, tmp_path: Path, stage: str, delay: float
) -> None:
    folder = tmp_path / "ws"
    shutil.copytree(before_training, folder)
    (folder / ".factory" / "gates" / f"{stage}.json").unlink()
    process = start(folder, stage)
    time.sleep(delay)
    process.kill()
    process.wait()
    ran("run", stage, cwd=folder)
    for name in ("data/splits/train.jsonl", "data/rejects.jsonl", "metrics/dataset.json"):
        assert sha256(folder / name) == sha256(before_training / name)
    for name in ("metrics/baseline.json", "metrics/predictions/baseline.jsonl"):
        assert sha256(folder / name) == sha256(before_training / name)
