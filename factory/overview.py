"""`factory status`: gates and training at a glance, read from disk in milliseconds.

Imports neither pydantic nor anything heavier, so that a watcher may call it every second.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from factory import storage
from factory.errors import ConfigError, DataError
from factory.workspace import Workspace

if TYPE_CHECKING:
    from factory.console import Console

STAGES = ("format", "baseline", "finetune", "evaluate", "export")


def summarise(workspace: Workspace) -> dict[str, Any]:
    """State of every stage and of the training; `check` is what proves it byte by byte."""
    from factory import status

    if not workspace.config_path.exists():
        raise ConfigError(
            "no configuration here",
            where=str(workspace.config_path),
            hint="make a workspace with: python -m factory init DIR",
        )
    return {
        "workspace": str(workspace.root),
        "stages": [_stage(workspace, name) for name in STAGES],
        "training": status.read(workspace),
    }


def _stage(workspace: Workspace, name: str) -> dict[str, Any]:
    path = workspace.gate_path(name)
    if not path.exists():
        return {"stage": name, "state": "not run", "ended_at": None, "why": ""}
    try:
        gate = storage.read_json(path)
        state, ended_at = gate["status"], gate["ended_at"]
        moved = [file for file, known in gate["outputs"].items() if _moved(workspace, file, known)]
        closed = [check for check in gate["checks"] if _closed(check)]
    except (DataError, KeyError, TypeError, AttributeError) as error:
        return {"stage": name, "state": "damaged", "ended_at": None, "why": f"gate file: {error}"}
    if moved:
        return {
            "stage": name,
            "state": "touched",
            "ended_at": ended_at,
            "why": f"{moved[0]} was touched since; python -m factory check says if it changed",
        }
    why = "; ".join(f"{check['id']}: {check['why']}" for check in closed)
    return {"stage": name, "state": state, "ended_at": ended_at, "why": why}


def _closed(check: dict[str, Any]) -> bool:
    return not check["passed"] and check["severity"] == "error"


def _moved(workspace: Workspace, file: str, known: dict[str, Any]) -> bool:
    try:
        found = os.lstat(workspace.root / file)
    except OSError:
        return True
    return found.st_size != known["size"] or found.st_mtime_ns != known["mtime_ns"]


def show(summary: dict[str, Any], console: Console) -> None:
    """Print the summary for a person."""
    from factory import status

    width = max(len(name) for name in STAGES)
    for stage in summary["stages"]:
        when = f"  {stage['ended_at']}" if stage["ended_at"] else ""
        why = f"  {stage['why']}" if stage["why"] else ""
        print(f"{stage['stage']:<{width}}  {stage['state']:<8}{when}{why}")
    if summary["training"]:
        status.render(console, summary["training"])
