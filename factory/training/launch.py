"""Run scripts/train.py in a child process: retries when memory runs out, clear errors otherwise."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from factory import child, kit
from factory.artifacts import Decision
from factory.context import Context
from factory.errors import DataError, DiskFull, Interrupted, OutOfMemory, TrainingError
from factory.training import resume, script, trackers
from factory.training.templates import training_process as process

DONE, BAD_DATA, NOT_FINITE, OUT_OF_MEMORY, DISK_FULL, OTHER_RUN, INTERRUPTED = (
    process.DONE,
    process.BAD_DATA,
    process.NOT_FINITE,
    process.OUT_OF_MEMORY,
    process.DISK_FULL,
    process.OTHER_RUN,
    process.INTERRUPTED,
)
KILLED = -signal.SIGKILL
SHORTEST_SEQUENCE = 128


def train(context: Context, settings: dict[str, Any]) -> dict[str, Decision]:
    """Train with `settings`; returns where it started and what lack of memory changed.

    When memory runs out the micro-batch is halved and the accumulation doubled, which leaves the
    effective batch, the order of the rows and so the result unchanged, and training goes on from
    the last checkpoint. Raises TrainingError, OutOfMemory, DataError or Interrupted.
    """
    attempt, decisions = 1, {}
    while True:
        script.write(context, settings)
        decisions["start"] = resume.prepare(context, settings, fresh=context.force and attempt == 1)
        code, message = _run(context, settings, attempt)
        if code == DONE:
            return decisions
        if code != OUT_OF_MEMORY:
            raise _error(context, code, message)
        change = shrink(settings, context.config.training.allow_shorter_sequences)
        if change is None:
            raise OutOfMemory(
                message or "out of memory with a micro-batch of one row",
                where=context.workspace.relative(_log(context)),
                hint="lower model.max_seq_length (or allow it: training.allow_shorter_sequences), "
                "set lora.use_gradient_checkpointing, model.load_in_4bit, or take a smaller model",
            )
        context.console.warn(f"out of memory in attempt {attempt}: {change}")
        decisions[f"attempt_{attempt + 1}"] = Decision(value=change, reason=message or "no memory")
        attempt += 1


def shrink(settings: dict[str, Any], allow_shorter: bool) -> str | None:
    """Change `settings` to need less memory; says how, or None if nothing is left to give."""
    trainer = settings["trainer"]
    batch, steps = trainer["per_device_train_batch_size"], trainer["gradient_accumulation_steps"]
    if batch > 1:
        # The smallest factor keeps batch x accumulation exactly what it was (odd batches, too).
        factor = next(number for number in range(2, batch + 1) if batch % number == 0)
        trainer["per_device_train_batch_size"] = batch // factor
        trainer["gradient_accumulation_steps"] = steps * factor
        trainer["per_device_eval_batch_size"] = batch // factor
        return (
            f"micro-batch {batch} -> {batch // factor}, accumulation {steps} -> {steps * factor}, "
            f"effective batch stays {batch * steps}"
        )
    length = settings["model"]["max_seq_length"]
    if allow_shorter and length // 2 >= SHORTEST_SEQUENCE:
        settings["model"]["max_seq_length"] = trainer["max_length"] = length // 2
        return f"model.max_seq_length {length} -> {length // 2} (training.allow_shorter_sequences)"
    return None


def _log(context: Context) -> Path:
    return context.workspace.logs / "training.log"


def _run(context: Context, settings: dict[str, Any], attempt: int) -> tuple[int, str | None]:
    """One attempt: (exit code, the script's own last error)."""
    last: dict[str, Any] = {}
    ends: list[dict[str, Any]] = []
    with context.console.bar("training", total=None) as bar:

        def show(status: dict[str, Any]) -> None:
            if "exit_code" in status:
                ends.append(status)
                return
            last.update(status)
            bar.update(status["step"], total=status["total_steps"], note=_note(status))

        command = [*script.command(settings, sys.executable), "--attempt", str(attempt)]
        code = child.run(
            command,
            log=_log(context),
            environment=environment(context, settings),
            cwd=context.workspace.root,
            on_event=show,
        )
    if code == DONE or settings["num_processes"] == 1:
        return code, last.get("error")
    return _of_several(ends)


def _of_several(ends: list[dict[str, Any]]) -> tuple[int, str | None]:
    """(exit code, error) of the process that failed first; torchrun then interrupts the others.

    One that was killed could not say so.
    """
    for end in ends:
        if end["exit_code"] != INTERRUPTED:
            return end["exit_code"], end["error"]
    return KILLED, None


def _note(status: dict[str, Any]) -> str:
    if status["phase"] != "training":
        return str(status["phase"]).replace("_", " ")
    parts = [f"loss {status['loss']:.3f}" if status["loss"] is not None else ""]
    if status["memory_gb"] is not None:
        parts.append(f"{status['memory_gb']:.1f} GiB")
    return "  ".join(part for part in parts if part)


def environment(context: Context, settings: dict[str, Any]) -> dict[str, str]:
    """Variables of the training process."""
    variables = {
        **child.thread_environment(settings["threads"]),
        **kit.require().environment(),
        "FACTORY_EVENTS": "1",
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1" if _is_local(settings) else "0"),
    }
    return {**trackers.environment(context.config), **variables}


def _is_local(settings: dict[str, Any]) -> bool:
    return settings["model"]["revision"] is None


def _error(context: Context, code: int, message: str | None) -> Exception:
    """The exception for an exit code."""
    where = context.workspace.relative(_log(context))
    if code == INTERRUPTED:
        return Interrupted(message or "training was interrupted", hint="run it again to go on")
    if code == BAD_DATA:
        return DataError(message or "the data cannot be trained on", where=where)
    if code == NOT_FINITE:
        return TrainingError(
            message or "the loss is not finite",
            where=where,
            hint="lower training.learning_rate; look at the last lines of the curve in "
            + context.workspace.relative(context.workspace.history),
        )
    if code == DISK_FULL:
        return DiskFull(context.workspace.root, message or "no space is left on the disk")
    if code == OTHER_RUN:
        return TrainingError(message or "the checkpoints belong to another run", where=where)
    if code == KILLED:
        return TrainingError(
            "the training process was killed",
            where=where,
            hint="if the kernel did it, memory ran out: lower training.per_device_train_batch_size "
            "(dmesg tells); run it again to go on from the last checkpoint",
        )
    text = message or child.tail(_log(context)) or f"exit code {code}"
    return TrainingError(f"training failed: {text}", where=where, hint="see the log")
