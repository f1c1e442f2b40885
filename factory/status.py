"""The live status of a training: read it, say whether it is alive, show it.

Written by scripts/training_state.py in the training process. This module imports neither torch
nor pydantic: `factory status` has to start in a moment.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory import storage
from factory.workspace import Workspace

if TYPE_CHECKING:
    from factory.console import Console

STALE_SECONDS = 15.0  # several missed heartbeats
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
BAR_WIDTH = 28


def read(workspace: Workspace) -> dict[str, Any] | None:
    """The status with `stale` added, or None if nothing was trained here or it is unreadable.

    `stale`: it says "running", but its process is gone, or has not given a sign of life.
    """
    try:
        status = json.loads(workspace.status.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(status, dict):
        return None
    return {**status, "stale": is_stale(status)}


def history(workspace: Workspace) -> list[dict[str, Any]]:
    """The logged steps, oldest first; a torn last line (a killed writer) is left out."""
    try:
        lines = workspace.history.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return entries


def is_stale(status: dict[str, Any], *, now: datetime | None = None) -> bool:
    """Whether a status that says "running" has nobody behind it.

    A process number means something on the boot it was taken on only. A live process with an old
    heartbeat is not stale but stopped (SIGSTOP, a suspended laptop), and will go on.
    """
    if not status.get("running"):
        return False
    if status.get("boot_id") == _boot_id():
        return not _is_alive(status.get("pid"))
    age = _age_seconds(status.get("heartbeat_at"), now or datetime.now(timezone.utc))
    return age is None or age > STALE_SECONDS


def _boot_id() -> str | None:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None


def _is_alive(pid: Any) -> bool:
    if not isinstance(pid, int) or pid <= 0:
        return False
    return storage.is_alive(pid) and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[:1] == ["Z"]


def _age_seconds(heartbeat: Any, now: datetime) -> float | None:
    try:
        then = datetime.fromisoformat(str(heartbeat).replace("Z", "+00:00"))
    except ValueError:
        return None
    return (now - then).total_seconds()


def render(console: Console, status: dict[str, Any] | None) -> None:
    """Show a status as a person reads it."""
    if status is None:
        console.line("training: none here yet")
        return
    console.line(f"training: {_headline(status)}", style=_style(status))
    if status.get("total_steps"):
        console.line(f"  {_bar(status)}  step {status['step']} of {status['total_steps']}")
    facts = [
        _fact("epoch", status.get("epoch"), "{:.2f}"),
        _fact("loss", status.get("loss"), "{:.4f}"),
        _fact("validation loss", status.get("eval_loss"), "{:.4f}"),
        _fact("gradient norm", status.get("grad_norm"), "{:.3f}"),
        _fact("learning rate", status.get("learning_rate"), "{:.2e}"),
        _fact("tokens/s", status.get("tokens_per_second"), "{:.0f}"),
        _fact("memory", status.get("memory_gb"), "{:.2f} GiB"),
        _fact("peak", status.get("peak_memory_gb"), "{:.2f} GiB"),
    ]
    known = [fact for fact in facts if fact]
    if known:
        console.line("  " + "  ".join(known))
    if status.get("running") and not status.get("stale") and status.get("eta_seconds") is not None:
        console.line(f"  about {duration(status['eta_seconds'])} left")
    for warning in status.get("warnings") or []:
        console.line(f"  warning: {warning}", style="yellow")
    if status.get("error"):
        console.line(f"  {status['error']}", style="red")


def _headline(status: dict[str, Any]) -> str:
    phase = str(status.get("phase", "unknown")).replace("_", " ")
    if status.get("stale"):
        return (
            f"stale: its process {status.get('pid')} is gone (it was {phase}); "
            "go on with: python -m factory run finetune"
        )
    return phase


def _style(status: dict[str, Any]) -> str | None:
    if status.get("stale") or status.get("phase") == "failed":
        return "bold red"
    return "bold green" if status.get("phase") == "completed" else "bold"


def _bar(status: dict[str, Any]) -> str:
    share = min(max(status.get("progress_percent") or 0.0, 0.0), 100.0)
    filled = int(BAR_WIDTH * share / 100)
    return f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {share:.1f} %"


def _fact(name: str, value: Any, form: str) -> str | None:
    return f"{name} {form.format(value)}" if isinstance(value, int | float) else None


def duration(seconds: float) -> str:
    """`1 h 02 min`, `3 min 20 s`, `8 s`."""
    minutes, rest = divmod(int(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
