"""Before anything is loaded: what the run will do, what it needs, and whether that is there."""

from __future__ import annotations

import math
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory import artifacts, estimate, pipeline, storage
from factory.artifacts import DatasetReport
from factory.context import Context
from factory.errors import FactoryError
from factory.hardware import GIB, Machine
from factory.status import duration
from factory.training import script, trackers
from factory.training.script import Plan

# Bytes of one weight in each type of GGUF, block scales included (llama.cpp's own sizes).
GGUF_BYTES = {"f16": 2.0, "bf16": 2.0, "q8_0": 1.0625, "q5_k_m": 0.71, "q4_k_m": 0.61}
ADAM_CHECKPOINT_BYTES = 12  # a trained weight and two moments, 32 bits each
# Resident memory of a training process on a CPU beyond weights, gradients and activations: measured
# with the built-in model (0.19 GiB of those, 1.3 GiB resident at the peak). 0.48 GiB are there once
# torch, transformers, trl and unsloth are imported; the rest are their kernels and buffers.
LIBRARIES_BYTES = 1.1 * GIB
MARGIN = 1.1  # tokenizers, JSON, file systems


@dataclass(frozen=True)
class Forecast:
    """Sizes in bytes; None where it is not known."""

    rows: int
    tokens: int | None
    steps: int
    seconds: float | None
    memory: float | None
    libraries: float
    free_memory: int
    disk: float
    free_disk: int
    phases: dict[str, float]

    def lines(self) -> list[str]:
        """For a person."""
        tokens = f"{self.tokens:,} tokens an epoch" if self.tokens else "tokens not counted yet"
        memory = f"{self.memory / GIB:.2f} GiB" if self.memory else "not known for this model"
        seconds = duration(self.seconds) if self.seconds else "not measured on this machine yet"
        peaks = ", ".join(f"{name} {size / GIB:.2f}" for name, size in self.phases.items())
        floor = f"; {self.libraries / GIB:.2f} of each for the libraries" if self.libraries else ""
        return [
            f"rows {self.rows:,}, {tokens}, {self.steps:,} steps",
            f"memory {memory} of {self.free_memory / GIB:.1f} GiB free"
            + (f" (peaks in GiB: {peaks}{floor})" if peaks else ""),
            f"disk {self.disk / GIB:.2f} GiB of {self.free_disk / GIB:.1f} GiB free",
            f"time {seconds}",
        ]


def examine(context: Context, plan: Plan, machine: Machine) -> Forecast:
    """Count rows and steps, estimate memory, disk and time."""
    root = context.workspace.root
    rows = count_rows(context.path("dataset.path"))
    tokens = _tokens(context)
    needed = estimate.of_config(context.config, root)
    gpu = machine.accelerator
    floor = 0 if gpu else LIBRARIES_BYTES
    memory = needed.training * estimate.GB + floor if needed else None
    steps = count_steps(plan.settings, rows)
    return Forecast(
        rows=rows,
        tokens=tokens,
        steps=steps,
        seconds=_seconds(context, plan, tokens, rows, steps),
        memory=memory,
        libraries=floor,
        free_memory=gpu.free_memory if gpu else machine.free_memory,
        disk=disk_bytes(context, plan),
        free_disk=shutil.disk_usage(root).free,
        phases=memory_phases(plan, memory, floor),
    )


def require(context: Context, forecast: Forecast) -> None:
    """Raise for a tracker that is not installed or a disk too small; warn if memory may be.

    Running out of memory is survived; a full disk or a missing package in the end is not.
    """
    trackers.require_installed(context.config)
    if forecast.disk > forecast.free_disk:
        raise FactoryError(
            f"training needs about {forecast.disk / GIB:.2f} GiB of disk, "
            f"{forecast.free_disk / GIB:.2f} GiB are free",
            where=str(context.workspace.root),
            hint="make room, lower training.save_total_limit, or ask for fewer GGUF files",
        )
    if forecast.memory is not None and forecast.memory > forecast.free_memory:
        context.console.warn(
            f"training may need {forecast.memory / GIB:.1f} GiB of memory, "
            f"{forecast.free_memory / GIB:.1f} GiB are free; if it runs out, the micro-batch is "
            "halved and training goes on"
        )


def count_rows(path: Path) -> int:
    """Lines of a JSON-lines file the factory wrote."""
    with storage.open_regular(path) as file:
        return sum(1 for _ in file)


def count_steps(settings: dict[str, Any], rows: int) -> int:
    """Optimizer steps of the run, by the trainer's own rule (the last batch may be smaller)."""
    trainer = settings["trainer"]
    if trainer["max_steps"] > 0:
        return int(trainer["max_steps"])
    rows_at_once = trainer["per_device_train_batch_size"] * settings["num_processes"]
    batches = math.ceil(rows / rows_at_once)
    each_epoch = max(math.ceil(batches / trainer["gradient_accumulation_steps"]), 1)
    return math.ceil(trainer["num_train_epochs"] * each_epoch)


def disk_bytes(context: Context, plan: Plan) -> float:
    """Checkpoints, adapter, merged model and GGUF, with the copies that exist for a while."""
    config, size = context.config, plan.parameters
    trained = size if config.model.full_finetuning else _adapter_size(context, size)
    kept = config.training.save_total_limit + 1  # the new one is written before an old one goes
    checkpoints = kept * trained * ADAM_CHECKPOINT_BYTES
    gguf = sum(GGUF_BYTES[name] for name in config.save.gguf_quantization) * size
    staged = (4 + 2) * size  # unrounded weights and a bf16 GGUF, while GGUF files are made
    merged = 2 * 2 * size  # the new one beside the old one
    return MARGIN * (checkpoints + 4 * trained + merged + gguf + staged)


def _adapter_size(context: Context, size: int) -> float:
    from factory import architecture

    known = architecture.of_model(context.config.model.name, root=context.workspace.root)
    if known is None:
        return 0.05 * size  # r=64 on every linear layer of a small model is about this much
    return estimate.adapter_parameters(context.config, known)


def memory_phases(plan: Plan, training: float | None, floor: float) -> dict[str, float]:
    """Peak memory of each phase: merging copies the model, a GGUF is made from an unrounded one.

    `floor` is what the libraries take in each.
    """
    if training is None:
        return {}
    width = 4 if plan.settings["model"]["dtype"] == "float32" else 2
    weights = width * plan.parameters
    gguf = weights + 4 * plan.parameters
    return {"training": training, "merging": floor + 2 * weights, "gguf": floor + gguf}


def _tokens(context: Context) -> int | None:
    """Tokens of the training split, as the format stage counted them."""
    try:
        report = artifacts.load(DatasetReport, context.workspace.dataset_report)
    except FactoryError:
        return None
    split = report.splits.get("train")
    return split.tokens.total if split and split.tokens else None


def _seconds(
    context: Context, plan: Plan, tokens: int | None, rows: int, steps: int
) -> float | None:
    """From the speed of the last training in this workspace, if there was one."""
    try:
        speed = storage.read_json(context.workspace.training_stats)["tokens_per_second"]
    except (FactoryError, KeyError, TypeError):
        return None
    if not tokens or not speed:
        return None
    batch = math.prod(
        plan.settings["trainer"][name]
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    batch *= plan.settings["num_processes"]
    return float(tokens / rows * batch * steps / speed)


def plan_lines(context: Context, plan: Plan, forecast: Forecast) -> list[str]:
    """What `--dry-run` shows: needs, decisions, the exact script and configuration."""
    decisions = [f"{name}: {d.value} ({d.reason})" for name, d in plan.decisions.items()]
    outputs = dict.fromkeys((pipeline.tuned(context), context.path("save.merged_path")))
    files = [context.workspace.relative(path) for path in outputs]
    files += [
        context.workspace.relative(pipeline.gguf_file(context, name))
        for name in context.config.save.gguf_quantization
    ]
    return [
        *forecast.lines(),
        *decisions,
        f"writes {', '.join(files)}",
        f"command: {shlex.join(script.command(plan.settings))}",
        "script: scripts/train.py, with scripts/train.json:",
        *storage.dump_json(plan.settings).splitlines(),
    ]
