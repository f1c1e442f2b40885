"""The training process from its parent's side: memory, death, errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from factory import status
from factory.errors import DataError, OutOfMemory, TrainingError
from factory.training import launch
from tests.training.conftest import ROOT, make_context, write_script

# Runs at the start of the child's interpreter; raises what CUDA raises, once enough was trained.
OUT_OF_MEMORY = """
import json, os, sys, threading, time

def patch():
    while not hasattr(sys.modules.get("transformers.trainer"), "Trainer"):
        time.sleep(0.005)
    import torch
    # Of several processes on a CPU the trainer loads onto "cpu:0", which torch does not know.
    known = lambda storage, place: storage if place == "cpu:0" else None
    torch.serialization.register_package(5, lambda storage: None, known)
    trainer = sys.modules["transformers.trainer"].Trainer
    usual = trainer.training_step

    def training_step(self, *arguments, **options):
        if os.environ.get("ROWS"):
            ids, kept = arguments[1]["input_ids"], arguments[1]["attention_mask"] == 1
            rows = [ids[place][kept[place]].tolist() for place in range(len(ids))]
            with open(os.environ["ROWS"], "a") as file:
                file.write(json.dumps([self.state.global_step, rows]) + "\\n")
        too_large = self.args.per_device_train_batch_size > LIMIT and RANK_IS_MINE
        if too_large and self.state.global_step >= 2:
            raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return usual(self, *arguments, **options)

    trainer.training_step = training_step

threading.Thread(target=patch, daemon=True).start()
"""


def inject_out_of_memory(
    folder: Path, limit: int, monkeypatch: pytest.MonkeyPatch, rank: int = 0
) -> None:
    """Children of this process run out of memory with a micro-batch above `limit`."""
    folder.mkdir()
    mine = f'os.environ.get("RANK", "0") == "{rank}"'
    text = OUT_OF_MEMORY.replace("LIMIT", str(limit)).replace("RANK_IS_MINE", mine)
    (folder / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_out_of_memory_halves_the_micro_batch_and_goes_on(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(
        tmp_path / "ws",
        training={"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1},
    )
    settings = write_script(context)
    settings["save"]["formats"] = ["lora"]
    inject_out_of_memory(tmp_path / "site", 2, monkeypatch)
    monkeypatch.setenv("ROWS", str(tmp_path / "rows"))
    decisions = launch.train(context, settings)
    assert decisions["start"].value == 2
    assert "effective batch stays 4" in str(decisions["attempt_2"].value)
    stats = json.loads(context.workspace.training_stats.read_text())
    assert (stats["per_device_train_batch_size"], stats["gradient_accumulation_steps"]) == (2, 2)
    assert stats["effective_batch_size"] == 4
    undisturbed = json.loads((trained / "metrics/training-stats.json").read_text())["curve"]
    losses = [[p["loss"] for p in curve if "loss" in p] for curve in (stats["curve"], undisturbed)]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
    # The step that failed was tried again on the very same rows, now in two pieces.
    lines = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    third = [rows for step, rows in lines if step == 2]
    assert [len(rows) for rows in third] == [4, 2, 2]
    assert sorted(third[0]) == sorted(third[1] + third[2])


@pytest.mark.slow
def test_out_of_memory_with_one_row_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(
        tmp_path / "ws",
        training={"per_device_train_batch_size": 1, "gradient_accumulation_steps": 4},
    )
    inject_out_of_memory(tmp_path / "site", 0, monkeypatch)
    with pytest.raises(OutOfMemory, match="CUDA out of memory") as raised:
        launch.train(context, write_script(context))
    assert "model.max_seq_length" in str(raised.value.hint)
    known = status.read(context.workspace)
    assert known and known["phase"] == "failed"
    assert known["error"].startswith("out of memory: ")
    assert (context.path("training.output_dir") / "checkpoint-2/manifest.json").is_file()


@pytest.mark.parametrize(
    ("batch", "steps", "smaller"), [(8, 1, (4, 2)), (6, 3, (3, 6)), (3, 2, (1, 6)), (5, 1, (1, 5))]
)
def test_the_effective_batch_stays_exact(batch: int, steps: int, smaller: tuple[int, int]) -> None:
    settings: dict[str, Any] = {
        "trainer": {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps},
        "model": {"max_seq_length": 512},
    }
    assert launch.shrink(settings, allow_shorter=False)
    trainer = settings["trainer"]
    found = trainer["per_device_train_batch_size"], trainer["gradient_accumulation_steps"]
    assert found == smaller


def test_sequences_get_shorter_only_by_permission() -> None:
    settings: dict[str, Any] = {
        "trainer": {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8},
        "model": {"max_seq_length": 300},
    }
    assert launch.shrink(settings, allow_shorter=False) is None
    assert launch.shrink(settings, allow_shorter=True)
    assert settings["model"]["max_seq_length"] == settings["trainer"]["max_length"] == 150
    assert launch.shrink(settings, allow_shorter=True) is None


def test_bad_data_is_one_clear_error(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws")
    settings = write_script(context)
    path = context.path("dataset.path")
    path.write_text('{"conversations": [{"role": "user", "content": "only a question"}]}\n')
    with pytest.raises(DataError, match="no row is left to train on"):
        launch.train(context, settings)


def test_a_killed_process_is_one_clear_error(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws")
    error = launch._error(context, -signal.SIGKILL, None)
    assert isinstance(error, TrainingError)
    assert "killed" in str(error)
    assert "dmesg" in str(error)


def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws", training={"max_steps": 500})
    program = (
        "import sys; from tests.training.conftest import *; from factory.training import launch;"
        "values = json.loads(Path(sys.argv[1], 'training-config.json').read_text());"
        "context = Context(Workspace(sys.argv[1]), configuration.validate(values), Console());"
        "launch.train(context, write_script(context))"
    )
    root = str(context.workspace.root)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen([sys.executable, "-c", program, root], cwd=ROOT, env=environment)
    try:
        for _ in range(6000):
            known = status.read(context.workspace)
            if known and known["phase"] == "training":
                break
            time.sleep(0.1)
        assert known and not known["stale"]
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not status.is_stale(known):
        time.sleep(0.1)
    after = status.read(context.workspace)
    assert after and after["running"] and after["stale"]
    shutil.rmtree(context.workspace.root)
