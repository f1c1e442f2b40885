"""Every rename, fsync, unlink, mkdir and write of the factory's own writers fails once.

The process is killed there, or told that the disk is broken or full. Afterwards nothing on disk
is half of anything, and the same command ends with what an undisturbed run gives.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from factory import pipeline, runner
from factory.training.templates import training_state as state
from tests.conftest import ROOT
from tests.faults import toy_training
from tests.faults.conftest import calls_in, traced, with_fault
from tests.faults.toy_run import NAMES, toy_context

pytestmark = pytest.mark.slow

TOY_RUN = [sys.executable, "-m", "tests.faults.toy_run"]
TOY_TRAINING = [sys.executable, str(Path(toy_training.__file__))]
KILL, BROKEN, FULL = "signal=KILL", "error=EIO", "error=ENOSPC"


def execute(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def sweep(
    program: list[str],
    call: str,
    fault: str,
    tmp_path: Path,
    prepare: Callable[[Path], None],
    verify: Callable[[Path], None],
    finished: Callable[[Path], object],
) -> None:
    """Run `program FOLDER` with its 1st, 2nd, ... `call` at fault.

    After each: `verify`, then run it again undisturbed and compare what is `finished`.
    """
    usual, log = tmp_path / "usual", tmp_path / "log"
    prepare(usual)
    answer = execute([*traced(call, log), *program, str(usual)])
    assert answer.returncode == 0, answer.stderr
    expected, disturbed = finished(usual), 0
    for number in range(1, calls_in(log, call) + 1):
        folder = tmp_path / f"{call}-{number}"
        prepare(folder)
        when = f"{number}+" if fault == FULL else str(number)
        first = execute([*with_fault(call, fault, when), *program, str(folder)])
        disturbed += first.returncode != 0
        verify(folder)
        again = execute([*program, str(folder)])
        assert again.returncode == 0, f"after {call} {number}: {again.stderr[-2000:]}"
        assert finished(folder) == expected, f"after {call} {number}"
        shutil.rmtree(folder)
    assert disturbed, "no fault arrived"


# ------------------------------------------------------------------------------- gate files


def toy_workspace(folder: Path) -> None:
    folder.mkdir()
    (folder / "raw.txt").write_text("hello")


def gates_hold(folder: Path) -> None:
    """A gate file is whole and over whole files, or there is none."""
    for verdict in runner.check(toy_context(folder), NAMES):
        assert verdict.kind in ("passed", "missing"), verdict.problem


def gates(folder: Path) -> dict[str, str]:
    gates_hold(folder)
    files = {name: (folder / name).read_text() for name in ("first.txt", "second.txt")}
    return files | {path.name: "" for path in (folder / ".factory").rglob("*")}


@pytest.fixture
def _stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the table of stages back afterwards, which `toy_context` changes."""
    monkeypatch.setattr(pipeline, "STAGES", pipeline.STAGES)
    monkeypatch.setattr(runner, "_revisions", runner._revisions)


@pytest.mark.usefixtures("_stages")
@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("rename", KILL),
        ("rename", BROKEN),
        ("fsync", KILL),
        ("fsync", BROKEN),
        ("unlink", KILL),
        ("write", FULL),
        ("write", KILL),
    ],
)
def test_no_gate_file_over_bad_data(call: str, fault: str, tmp_path: Path) -> None:
    sweep(TOY_RUN, call, fault, tmp_path, toy_workspace, gates_hold, gates)


# --------------------------------------------------------------- status, checkpoints, models


def training_files_hold(folder: Path) -> None:
    """The status is whole; the newest valid checkpoint is the one of its step; no half model."""
    step = 0
    if (folder / "status.json").exists():
        step = json.loads((folder / "status.json").read_text())["step"]
    found = state.newest_valid(folder / "trainer", toy_training.RUN, lambda text: None)
    saved = json.loads((found / state.MANIFEST).read_text())["step"] if found else 0
    assert saved >= step
    if found:
        assert (found / "weights").read_text() == toy_training.weights_at(saved)
    if (folder / "lora").exists():
        assert (folder / "lora/adapter").read_text() == toy_training.weights_at(4)
    if (folder / "stats.json").exists():
        assert json.loads((folder / "stats.json").read_text())


def training_result(folder: Path) -> dict[str, str]:
    training_files_hold(folder)
    result = {name: (folder / name).read_text() for name in ("lora/adapter", "stats.json")}
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    whole = {name for name in names if not name.startswith("trainer")}
    return result | dict.fromkeys(sorted(whole), "")


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("rename", KILL),
        ("rename", BROKEN),
        ("fsync", KILL),
        ("fsync", BROKEN),
        ("unlink", KILL),
        ("mkdir", KILL),
        ("write", FULL),
        ("write", KILL),
    ],
)
def test_checkpoints_status_and_models_are_whole_or_absent(
    call: str, fault: str, tmp_path: Path
) -> None:
    sweep(TOY_TRAINING, call, fault, tmp_path, Path.mkdir, training_files_hold, training_result)
