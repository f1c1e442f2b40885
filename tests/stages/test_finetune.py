"""The stage: where it starts from, what it leaves, how it is judged."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from factory.context import Context
from factory.errors import ConfigError, FactoryError
from factory.stages import finetune
from factory.training import preflight, resume
from tests.training.conftest import make_context, trained, write_script  # noqa: F401


@pytest.fixture
def context(trained: Path, tmp_path: Path) -> Context:  # noqa: F811
    """A workspace that was trained, with the configuration it was trained with."""
    fresh = make_context(tmp_path / "config")
    shutil.copytree(trained, tmp_path / "ws")
    return replace(fresh, workspace=type(fresh.workspace)(tmp_path / "ws"))


def closed(context: Context) -> list[str]:
    return [check.id.removeprefix("finetune.") for check in finetune.judge(context) if check.closed]


def test_a_finished_training_passes(context: Context) -> None:
    assert closed(context) == []


@pytest.mark.parametrize(
    ("path", "checks"),
    [
        ("metrics/training-stats.json", {"loss_finite", "loss_decreased", "mask_proven"}),
        ("models/checkpoints/lora/adapter_model.safetensors", {"files_load", "adapter_changed"}),
        ("models/checkpoints/merged/model.safetensors", {"files_load", "tensors_finite"}),
        ("models/quantized/my-model-q8_0.gguf", {"files_load"}),
    ],
)
@pytest.mark.parametrize("how", ["missing", "truncated"])
def test_what_is_missing_or_cut_closes_the_gate(
    context: Context, path: str, checks: set[str], how: str
) -> None:
    file = context.workspace.root / path
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:10])
    assert checks <= set(closed(context))


def test_a_finished_run_starts_at_its_end(context: Context) -> None:
    assert resume.prepare(context, write_script(context)).value == 6


def test_another_learning_rate_starts_over_and_keeps_the_old_run(context: Context) -> None:
    context.config.training.learning_rate = 0.5
    start = resume.prepare(context, write_script(context))
    assert start.value == 0
    assert "trainer.learning_rate: 0.002 -> 0.5" in start.reason
    folder = context.path("training.output_dir")
    assert not folder.exists()
    assert folder.with_name("trainer.superseded").is_dir()


def test_other_rows_start_over(context: Context) -> None:
    with context.path("dataset.path").open("a") as file:
        file.write(json.dumps({"conversations": []}) + "\n")
    start = resume.prepare(context, write_script(context))
    assert start.value == 0
    assert "data.train" in start.reason


def test_another_split_of_the_batch_goes_on(context: Context) -> None:
    context.config.training.per_device_train_batch_size = 1
    context.config.training.gradient_accumulation_steps = 4
    assert resume.prepare(context, write_script(context)).value == 6


def test_force_takes_nothing_over(context: Context) -> None:
    start = resume.prepare(context, write_script(context), fresh=True)
    assert (start.value, start.reason) == (0, "--force: checkpoints are not taken over")


def test_the_plan_says_everything(context: Context) -> None:
    lines = "\n".join(finetune.plan(context))
    for words in (
        "rows 40",
        "6 steps",
        "GiB free",
        "1.10 of each for the libraries",
        "optimizer: adamw_torch_fused",
        '"max_steps": 6',
    ):
        assert words in lines


def test_the_plan_refuses_a_tracker_that_is_not_installed(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory.training.trackers.find_spec", lambda _name: None)
    context.config.tracking.report_to = ["mlflow"]
    with pytest.raises(ConfigError, match="mlflow is not installed"):
        finetune.plan(context)


def test_a_full_disk_is_told_before_training(context: Context) -> None:
    forecast = preflight.Forecast(
        rows=1,
        tokens=None,
        steps=1,
        seconds=None,
        memory=None,
        libraries=0,
        free_memory=1,
        disk=2.0**40,
        free_disk=2**30,
        phases={},
    )
    with pytest.raises(FactoryError, match="1024\\.00 GiB of disk"):
        preflight.require(context, forecast)


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "epochs", "processes", "steps"),
    [
        (40, 2, 2, 3, 1, 30),
        (41, 2, 2, 1, 1, 11),
        (3, 8, 4, 2, 1, 2),
        (40, 2, 2, 0.5, 1, 5),
        (40, 2, 2, 3, 2, 15),
    ],
)
def test_steps_are_counted_as_the_trainer_does(
    rows: int, batch: int, accumulation: int, epochs: float, processes: int, steps: int
) -> None:
    trainer = {
        "max_steps": -1,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
        "num_train_epochs": epochs,
    }
    settings = {"trainer": trainer, "num_processes": processes}
    assert preflight.count_steps(settings, rows) == steps
