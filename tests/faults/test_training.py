"""The real training on a full disk, or killed at a rename: the rerun gives the same bits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factory import kit
from factory.training import launch
from tests.faults.conftest import with_fault
from tests.training.conftest import make_context, run_script, trained  # noqa: F401
from tests.training.test_train import hashes, remove_results, status_of

pytestmark = pytest.mark.slow

CHECKPOINT = "models/checkpoints/trainer/checkpoint-6"
# A run makes about 60 renames. All of them, on demand: FACTORY_RENAMES="1 2 3 ..."
RENAMES = [int(word) for word in os.environ.get("FACTORY_RENAMES", "24").split()]


def run_with(fault: list[str], folder: Path) -> tuple[int, str]:
    """(exit code, output) of the script under strace."""
    answer = subprocess.run(
        [*fault, sys.executable, "scripts/train.py"],
        cwd=folder,
        env={**os.environ, **kit.require().environment(), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return answer.returncode, answer.stdout


@pytest.mark.parametrize(
    ("call", "when", "file"),
    [
        pytest.param("write", "1+", f"{CHECKPOINT}/optimizer.pt", id="checkpoint"),
        pytest.param("truncate", "2", None, id="merged"),  # after the adapter
        pytest.param(
            "write", "1+", "models/quantized/.partial/my-model/my-model.Q8_0.gguf", id="gguf"
        ),
    ],
)
def test_a_full_disk_is_told_and_loses_nothing(
    trained: Path,  # noqa: F811
    tmp_path: Path,
    call: str,
    when: str,
    file: str | None,
) -> None:
    folder = tmp_path / "ws"
    shutil.copytree(trained, folder)
    remove_results(folder)
    if file and file.startswith(CHECKPOINT):
        shutil.rmtree(folder / CHECKPOINT)
    paths = [folder.resolve() / file] if file else []
    code, output = run_with(with_fault(call, "error=ENOSPC", when, *paths), folder)
    assert code == launch.DISK_FULL, output[-3000:]
    status = status_of(folder)
    assert status["phase"] == "failed"
    assert "no space is left on the disk" in status["error"]
    assert not list(folder.rglob("*.partial")), "half a model takes room"
    checkpoints = {path.name for path in (folder / CHECKPOINT).parent.glob("checkpoint-*")}
    assert checkpoints >= {"checkpoint-2", "checkpoint-4"}
    code, output = run_script(folder)
    assert code == launch.DONE, output[-3000:]
    assert hashes(folder) == hashes(trained)


@pytest.mark.parametrize("number", RENAMES)
def test_killed_at_a_rename_it_goes_on_to_the_same_bits(
    trained: Path,  # noqa: F811
    tmp_path: Path,
    number: int,
) -> None:
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    code, output = run_with(with_fault("rename", "signal=KILL", str(number)), folder)
    assert code != launch.DONE, f"there were fewer than {number} renames"
    code, output = run_script(folder)
    assert code == launch.DONE, output[-3000:]
    assert hashes(folder) == hashes(trained)
