"""The script itself, run as a person would: kill it, damage it, starve it, and compare hashes."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from factory.training import launch
from tests.training.conftest import make_context, run_script, start_script

PATIENCE = 600  # seconds; a shared machine may be ten times slower than an idle one
KILLS = int(os.environ.get("FACTORY_KILLS", "3"))  # 50 on demand
SECRET = "hf_ThisIsASecretThatMustNotLeak123"


def hashes(folder: Path) -> dict[str, str]:
    """Everything that training saves, by name."""
    files = [
        path
        for part in ("models/checkpoints/lora", "models/checkpoints/merged", "models/quantized")
        for path in (folder / part).rglob("*")
        if path.is_file()
    ]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def status_of(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / ".factory/training-status.json").read_text())
    return answer


def stats_of(folder: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((folder / "metrics/training-stats.json").read_text())
    return answer


def change_settings(folder: Path, **sections: dict[str, Any]) -> None:
    path = folder / "scripts/train.json"
    settings = json.loads(path.read_text())
    for section, values in sections.items():
        settings[section].update(values)
    path.write_text(json.dumps(settings))


def remove_results(folder: Path) -> None:
    for name in ("models/checkpoints/lora", "models/checkpoints/merged", "models/quantized"):
        shutil.rmtree(folder / name, ignore_errors=True)


def wait_for(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Wait until the status of a running script shows `step`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if status_of(folder)["phase"] == "training" and status_of(folder)["step"] >= step:
                return
        except (OSError, ValueError):
            pass
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.05)
    raise AssertionError(f"no step {step} in {PATIENCE} seconds")


def test_writes_everything_it_promises(trained: Path) -> None:
    saved = hashes(trained)
    assert "models/checkpoints/lora/adapter_model.safetensors" in saved
    assert "models/checkpoints/lora/tokenizer.json" in saved
    assert "models/checkpoints/merged/model.safetensors" in saved
    assert "models/quantized/my-model-q8_0.gguf" in saved
    assert not [path for path in trained.rglob("*") if ".partial" in path.name]
    stats = stats_of(trained)
    assert stats["total_steps"] == 6
    assert [point["step"] for point in stats["curve"] if "loss" in point] == [1, 2, 3, 4, 5, 6]
    assert stats["final_loss"] < stats["initial_loss"]
    assert stats["mask"]["train"]["rows"] == 40


def test_help_is_quick_and_needs_no_library(trained: Path) -> None:
    command = [sys.executable, "-S", "scripts/train.py", "--help"]
    answer = subprocess.run(command, cwd=trained, capture_output=True, text=True, timeout=20)
    assert answer.returncode == 0
    assert "--save" in answer.stdout


def test_runs_where_it_is_carried(copy_of_trained: Path) -> None:
    """Another folder, with a space and an accent in its name; same bits, no trainer's state."""
    elsewhere = copy_of_trained.with_name("an other plaçe")
    copy_of_trained.rename(elsewhere)
    expected = hashes(elsewhere)
    remove_results(elsewhere)
    shutil.rmtree(elsewhere / "models/checkpoints/trainer")
    code, output = run_script(elsewhere)
    assert code == launch.DONE, output[-3000:]
    assert hashes(elsewhere) == expected


def test_saving_again_from_the_adapter_gives_the_same_files(copy_of_trained: Path) -> None:
    expected = hashes(copy_of_trained)
    shutil.rmtree(copy_of_trained / "models/quantized")
    shutil.rmtree(copy_of_trained / "models/checkpoints/merged")
    code, output = run_script(copy_of_trained, "--save", "gguf", "--save", "merged")
    assert code == launch.DONE, output[-3000:]
    assert hashes(copy_of_trained) == expected


def damage(checkpoint: Path, how: str) -> None:
    """What a crash or a bad disk leaves of a checkpoint."""
    weights = checkpoint / "adapter_model.safetensors"
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif how == "bit flipped":
        content = bytearray(weights.read_bytes())
        content[len(content) // 2] ^= 1
        weights.write_bytes(content)
    elif how == "empty":
        weights.write_bytes(b"")
    elif how == "no optimizer":
        (checkpoint / "optimizer.pt").unlink()
    elif how == "no manifest":
        (checkpoint / "manifest.json").unlink()


@pytest.mark.parametrize(
    "how",
    [
        "bit flipped",
        pytest.param("truncated", marks=pytest.mark.slow),
        pytest.param("empty", marks=pytest.mark.slow),
        pytest.param("no optimizer", marks=pytest.mark.slow),
        pytest.param("no manifest", marks=pytest.mark.slow),
    ],
)
def test_a_damaged_checkpoint_is_named_and_skipped(copy_of_trained: Path, how: str) -> None:
    expected = hashes(copy_of_trained)
    remove_results(copy_of_trained)
    damage(copy_of_trained / "models/checkpoints/trainer/checkpoint-6", how)
    code, output = run_script(copy_of_trained)
    assert code == launch.DONE, output[-3000:]
    fault = "incomplete" if how == "no manifest" else "damaged"
    assert f"checkpoint-6 is skipped, {fault}: " in output
    assert "going on from models/checkpoints/trainer/checkpoint-4" in output
    assert hashes(copy_of_trained) == expected
    assert stats_of(copy_of_trained)["resumed_from_step"] == 4


def test_checkpoints_of_another_run_are_refused(copy_of_trained: Path) -> None:
    change_settings(copy_of_trained, trainer={"learning_rate": 0.5})
    code, output = run_script(copy_of_trained)
    assert code == launch.OTHER_RUN
    assert "trainer.learning_rate: 0.002 -> 0.5" in output
    assert status_of(copy_of_trained)["phase"] == "failed"


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, KILLS))]
)
def test_kill_9_and_rerun_is_bit_identical(trained: Path, tmp_path: Path, seed: int) -> None:
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    process = start_script(folder)
    wait_for(folder, random.Random(seed).randint(0, 5), process)
    time.sleep(random.Random(seed).random())
    process.kill()
    process.wait()
    code, output = run_script(folder)
    assert code == launch.DONE, output[-3000:]
    assert hashes(folder) == hashes(trained)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_a_checkpoint_and_stops(
    trained: Path, tmp_path: Path, number: signal.Signals
) -> None:
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    process = start_script(folder)
    wait_for(folder, 1, process)
    process.send_signal(number)
    began = time.monotonic()
    output, _ = process.communicate(timeout=PATIENCE)
    if process.returncode == launch.DONE:
        pytest.fail("the script was quicker than the signal")
    assert process.returncode == launch.INTERRUPTED, output[-3000:]
    assert time.monotonic() - began < 30  # 10 s is promised; other tests may share the cores
    status = status_of(folder)
    assert (status["phase"], status["running"]) == ("interrupted", False)
    assert number.name in status["error"]
    found = [path.name for path in (folder / "models/checkpoints/trainer").glob("checkpoint-*")]
    assert f"checkpoint-{status['step']}" in found


# The second step takes ten minutes.
LONG_STEP = """
import sys, threading, time

def patch():
    while not hasattr(sys.modules.get("transformers.trainer"), "Trainer"):
        time.sleep(0.005)
    trainer = sys.modules["transformers.trainer"].Trainer
    usual = trainer.training_step

    def training_step(self, *arguments, **options):
        if self.state.global_step == 1:
            print("a long step", flush=True)
            time.sleep(600)
        return usual(self, *arguments, **options)

    trainer.training_step = training_step

threading.Thread(target=patch, daemon=True).start()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("signals", "code", "said"),
    [
        pytest.param(1, launch.INTERRUPTED, "within a long step, which is lost", id="one"),
        pytest.param(2, -signal.SIGTERM, "", id="two"),
    ],
)
def test_a_signal_waits_for_no_long_step_and_a_second_for_nothing(
    trained: Path, tmp_path: Path, signals: int, code: int, said: str
) -> None:
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    (tmp_path / "sitecustomize.py").write_text(LONG_STEP)
    process = start_script(folder, environment={"PYTHONPATH": str(tmp_path)})
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "a long step\n")
    before = "".join(line for line in lines if line)
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # two signals at once are one
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, before + output
    assert said in output


class Evil:
    """Unpickled, it leaves a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["optimizer.pt", "rng_state.pth"])
def test_a_pickle_in_a_checkpoint_runs_no_code(
    copy_of_trained: Path, tmp_path: Path, name: str
) -> None:
    """Even with a manifest that vouches for it."""
    remove_results(copy_of_trained)
    checkpoints = copy_of_trained / "models/checkpoints/trainer"
    shutil.rmtree(checkpoints / "checkpoint-6")
    content = pickle.dumps(Evil(tmp_path / "canary"))
    (checkpoints / "checkpoint-4" / name).write_bytes(content)
    manifest = checkpoints / "checkpoint-4/manifest.json"
    values = json.loads(manifest.read_text())
    values["files"][name] = hashlib.sha256(content).hexdigest()
    manifest.write_text(json.dumps(values))
    code, output = run_script(copy_of_trained)
    assert code == 1
    assert "Weights only load failed" in output or "weights_only" in output, output[-2000:]
    assert not (tmp_path / "canary").exists()


def test_not_a_number_stops_and_exports_nothing(trained: Path, tmp_path: Path) -> None:
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    change_settings(folder, trainer={"learning_rate": 1e12, "max_grad_norm": 1e12})
    code, output = run_script(folder)
    assert code == launch.NOT_FINITE, output[-3000:]
    status = status_of(folder)
    assert status["phase"] == "failed"
    assert re.search(r"(loss|grad_norm|lora_[AB]).* (is|holds) (nan|inf|NaN)", status["error"])
    assert not hashes(folder)


def test_the_data_is_named_where_it_cannot_be_trained_on(trained: Path, tmp_path: Path) -> None:
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    path = folder / "data/splits/train.jsonl"
    lines = path.read_text().splitlines()
    lines[2] = '{"conversations": [{"role": "alien", "content"'
    path.write_text("\n".join(lines))
    code, output = run_script(folder, "--check")
    assert code == launch.BAD_DATA
    assert "data/splits/train.jsonl:3:" in output
    assert not (folder / ".factory/training-status.json").exists(), "it did not train"


def test_no_secret_of_the_environment_is_written(trained: Path, tmp_path: Path) -> None:
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    secrets = {"HF_TOKEN": SECRET, "WANDB_API_KEY": SECRET}
    change_settings(folder, trainer={"max_steps": 2}, save={"formats": ["lora"]})
    code, output = run_script(folder, environment=secrets)
    assert code == launch.DONE, output[-3000:]
    assert SECRET not in output
    leaks = [p for p in folder.rglob("*") if p.is_file() and SECRET.encode() in p.read_bytes()]
    assert not leaks
    assert not list(folder.rglob("training_args.bin"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to drop to another user")
def test_training_goes_on_when_the_status_cannot_be_written(trained: Path, tmp_path: Path) -> None:
    """Root may write anywhere, so a folder stands where the file should be."""
    folder = make_context(tmp_path / "ws").workspace.root
    shutil.copytree(trained / "scripts", folder / "scripts")
    change_settings(folder, trainer={"max_steps": 1}, save={"formats": ["lora"]})
    (folder / ".factory/training-status.json").mkdir(parents=True)
    code, output = run_script(folder)
    assert code == launch.DONE, output[-3000:]
    assert output.count("the status cannot be written") == 1
