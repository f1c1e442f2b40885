"""Several processes on one host: one effective batch, one writer, one clear end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory import kit
from factory.config import Config
from factory.context import Context
from factory.errors import ConfigError
from factory.hardware import Accelerator, Machine
from factory.training import launch, preflight, script
from tests.training.conftest import make_context, run_script, write_script
from tests.training.test_launch import inject_out_of_memory
from tests.training.test_train import PATIENCE, status_of, wait_for

GIB = 2**30
CPU = Machine(cores=2, memory=8 * GIB, free_memory=8 * GIB, cpu="test", cpu_bf16=False)
GPU = Accelerator("cuda", "test GPU", 24 * GIB, 24 * GIB, bf16=True)
HALF = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 1}


def two_processes(context: Context) -> dict[str, Any]:
    """Settings for two processes on the CPU (gloo), which a configuration may not ask for."""
    settings = write_script(context) | {"num_processes": 2}
    script.write(context, settings)
    return settings


def losses(curve: list[dict[str, Any]]) -> list[float]:
    return [point["loss"] for point in curve if "loss" in point]


@pytest.mark.slow
def test_two_processes_share_the_batch_and_survive_a_lack_of_memory_in_the_second(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = make_context(tmp_path / "ws", training=HALF)
    settings = two_processes(context)
    settings["save"]["formats"] = ["lora"]
    inject_out_of_memory(tmp_path / "site", 1, monkeypatch, rank=1)
    decisions = launch.train(context, settings)
    assert decisions["start"].value == 2
    assert str(decisions["attempt_2"].value).startswith("micro-batch 2 -> 1, accumulation 1 -> 2")
    assert "CUDA out of memory (injected)" in decisions["attempt_2"].reason
    stats = json.loads(context.workspace.training_stats.read_text())
    assert stats["effective_batch_size"] == 4
    undisturbed = json.loads((trained / "metrics/training-stats.json").read_text())["curve"]
    assert losses(stats["curve"]) == pytest.approx(losses(undisturbed), rel=0.02)
    # Only one of the two writes: no line and no message twice.
    lines = [json.loads(line) for line in context.workspace.history.read_text().splitlines()]
    steps = [(line["attempt"], line["step"]) for line in lines if "loss" in line]
    assert len(steps) == len(set(steps))
    log = (context.workspace.logs / "training.log").read_text()
    assert log.count("mask proven on every row") == 2  # of two attempts
    newest = context.path("training.output_dir") / "checkpoint-6"
    assert {"rng_state_0.pth", "rng_state_1.pth"} <= {path.name for path in newest.iterdir()}


@pytest.mark.slow
def test_a_signal_stops_all_processes_at_the_same_step(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws", training=HALF | {"max_steps": 500, "save_steps": 500})
    settings, folder = two_processes(context), context.workspace.root
    process = subprocess.Popen(
        script.command(settings, sys.executable),
        cwd=folder,
        env={**os.environ, **kit.require().environment(), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(folder, 1, process)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=PATIENCE)
    status = status_of(folder)
    assert status["phase"] == "interrupted", output[-3000:]
    assert (folder / f"models/checkpoints/trainer/checkpoint-{status['step']}").is_dir()
    assert "checkpoint saved" in status["error"]


def test_the_number_of_processes_has_to_be_the_one_of_the_settings(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws", training=HALF)
    two_processes(context)
    code, output = run_script(context.workspace.root)
    assert code == 1
    assert "torchrun --standalone --nproc-per-node 2" in output


def test_the_command_is_told(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws", training=HALF | {"num_processes": 2})
    machine = replace(CPU, accelerators=(GPU, GPU))
    plan = script.resolve(context, machine)
    assert plan.decisions["effective_batch"].value == 4
    forecast = preflight.examine(context, plan, machine)
    assert (
        "command: python -m torch.distributed.run --standalone --nproc-per-node=2 scripts/train.py"
    ) in preflight.plan_lines(context, plan, forecast)


@pytest.mark.parametrize(
    ("machine", "wanted", "reason"),
    [
        (CPU, 2, "2 are wanted, 0 are here .*training.num_threads"),
        (replace(CPU, accelerators=(GPU, GPU)), 3, "3 are wanted, 2 are here"),
    ],
)
def test_more_processes_than_there_are_devices_are_refused(
    machine: Machine, wanted: int, reason: str
) -> None:
    config = Config.model_validate({"training": {"num_processes": wanted}})
    with pytest.raises(ConfigError, match=reason):
        script.refuse_unusable(config, machine)


def test_of_several_failures_the_first_counts() -> None:
    interrupted = {"exit_code": launch.INTERRUPTED, "error": "stopped by SIGTERM"}
    failed = {"exit_code": launch.OUT_OF_MEMORY, "error": "out of memory: x"}
    assert launch._of_several([interrupted, failed]) == (launch.OUT_OF_MEMORY, "out of memory: x")
    assert launch._of_several([interrupted]) == (launch.KILLED, None)
    assert launch._of_several([]) == (launch.KILLED, None)
