"""`factory next`: the one next action, for an agent or a person who asks."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from factory import ledger, pipeline, runner, status
from factory.artifacts import Check
from factory.context import Context
from factory.errors import StaleInput
from factory.pipeline import Stage

REMEDIES = {
    "format": "look at data/rejects.jsonl and metrics/dataset.json, mend or add data in data/raw",
    "baseline": "look at metrics/baseline.json",
    "finetune": "look at logs/training.log and metrics/training-stats.json",
    "evaluate": "look at metrics/predictions/evaluation.jsonl; add data or train longer",
    "export": "look at the release folder and metrics/evaluation.json",
}


def next_action(context: Context) -> dict[str, Any]:
    """The first stage that is not done or not open, with the command that moves it on.

    Keys: stage, action (`run`, `mend`, `done`), command (None when done), why, needs_person.
    """
    for stage in pipeline.STAGES:
        action = _action(context, stage)
        if action is not None:
            return action
    return {
        "stage": None,
        "action": "done",
        "command": None,
        "why": f"every gate is open; the release is {_release(context)}",
        "needs_person": False,
    }


def _action(context: Context, stage: Stage) -> dict[str, Any] | None:
    command = f"python -m factory {_place(context)}run {stage.name}"
    try:
        reason = runner.stale_reason(context, stage)
        gate = ledger.read_gate(context.workspace, stage.name)
    except StaleInput as error:
        reason, gate = error.message, None
    if reason is not None or gate is None:
        return {
            "stage": stage.name,
            "action": "run",
            "command": command,
            "why": _interrupted(context) or reason if stage.name == "finetune" else reason,
            "needs_person": False,
        }
    closed = [check for check in gate.checks if check.closed]
    if gate.status == "failed":
        return _mend(stage, command, closed)
    return None


def _interrupted(context: Context) -> str | None:
    """Where a training that did not end stopped, if there is one with a checkpoint."""
    training = status.read(context.workspace)
    if training is None or training["phase"] == "completed":
        return None
    if training["running"] and not training["stale"]:
        return f"a training is running: step {training['step']} of {training['total_steps']}"
    if not training["checkpoint_at"]:
        return None
    return (
        f"its training was stopped at step {training['step']} of {training['total_steps']}, and "
        "goes on from its last checkpoint"
    )


def _mend(stage: Stage, command: str, closed: list[Check]) -> dict[str, Any]:
    """A closed gate is mended at its cause; only a person may waive it, never an agent."""
    return {
        "stage": stage.name,
        "action": "mend",
        "command": command,
        "why": "; ".join(f"{check.id}: {check.why}" for check in closed) or "nothing was checked",
        "mend": REMEDIES[stage.name],
        "needs_person": True,
    }


def _place(context: Context) -> str:
    """`-C DIR ` where the workspace is not the current folder: the command runs as it is."""
    root = context.workspace.root
    return "" if root == Path.cwd().resolve() else f"-C {shlex.quote(str(root))} "


def _release(context: Context) -> str:
    return context.workspace.relative(pipeline.release_folder(context))
