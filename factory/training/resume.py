"""From where training starts: a checkpoint of the same run, or step zero."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from factory.artifacts import Decision
from factory.context import Context
from factory.training.templates import training_state as state


def prepare(context: Context, settings: dict[str, Any], *, fresh: bool = False) -> Decision:
    """Decide where training starts; checkpoints of another run are set aside, with the reason.

    The script itself refuses such checkpoints. Here a person asked for the stage to be brought
    up to date with the configuration, so the old run makes room; one generation of it is kept.
    """
    folder = context.path("training.output_dir")
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
        return Decision(value=0, reason="--force: checkpoints are not taken over")
    run = state.identity(settings, context.workspace.root)
    try:
        checkpoint = state.newest_valid(folder, run, context.console.warn)
    except state.OtherRun as error:
        aside = _set_aside(folder)
        context.console.warn(f"{error}; moved to {context.workspace.relative(aside)}")
        return Decision(value=0, reason=str(error))
    if checkpoint is None:
        return Decision(value=0, reason="no checkpoint of this run")
    step = json.loads((checkpoint / state.MANIFEST).read_text(encoding="utf-8"))["step"]
    return Decision(value=step, reason=f"{context.workspace.relative(checkpoint)} is valid")


def kept(folder: Path) -> list[tuple[str, int, float]]:
    """(name, step, seconds of training until then) of the valid checkpoints, the oldest first."""
    valid = [found for found in state.checkpoints(folder) if state.fault(found) is None]
    manifests = [json.loads((one / state.MANIFEST).read_text(encoding="utf-8")) for one in valid]
    pairs = zip(valid, manifests, strict=True)
    return [(one.name, known["step"], known["seconds"]) for one, known in pairs][::-1]


def _set_aside(folder: Path) -> Path:
    aside = folder.with_name(f"{folder.name}.superseded")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    return aside
