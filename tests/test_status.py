"""The status: never torn, never backwards, always what the schema says, and honest about death."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from factory import status
from factory.console import Console
from factory.training.templates import training_state
from factory.workspace import Workspace
from tests.training.conftest import make_context, start_script, write_script

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((ROOT / "factory/schemas/training-status.schema.json").read_text())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / ".factory"
    folder.mkdir()
    return {
        "status": str(folder / "training-status.json"),
        "history": str(folder / "training-history.jsonl"),
    }


@pytest.fixture
def live(files: dict[str, str]) -> Any:
    found = training_state.Status(files, run_id="r", attempt=1)
    yield found
    found.ended.set()


def test_a_reader_at_1_khz_sees_a_whole_training(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws")
    write_script(context)
    path = context.workspace.status
    process = start_script(context.workspace.root)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    seen: set[bytes] = set()
    steps, phases = [0], ["starting"]
    while process.poll() is None:
        time.sleep(0.001)
        if not path.exists():
            continue
        content = path.read_bytes()
        if content not in seen:
            seen.add(content)
            value = json.loads(content)
            validator.validate(value)
            steps.append(value["step"])
            if value["phase"] != phases[-1]:
                phases.append(value["phase"])
    assert process.returncode == 0, process.communicate()[0][-3000:]
    assert steps == sorted(steps)
    assert set(steps) >= {1, 2, 3, 4, 5, 6}
    assert phases == [
        "starting",
        "loading_model",
        "checking_mask",
        "training",
        "saving_lora",
        "saving_merged",
        "saving_gguf",
        "completed",
    ]
    history = status.history(context.workspace)
    assert [entry["step"] for entry in history if "loss" in entry] == [1, 2, 3, 4, 5, 6]


def test_not_a_number_becomes_null(live: Any, files: dict[str, str]) -> None:
    live.record(step=1, loss=float("nan"), grad_norm=float("inf"))
    for path in files.values():
        text = Path(path).read_text()
        assert "NaN" not in text
        assert "Infinity" not in text
    assert json.loads(Path(files["status"]).read_text())["loss"] is None


def test_a_status_that_cannot_be_written_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "status").mkdir()
    files = {"status": str(tmp_path / "status"), "history": str(tmp_path / "status")}
    live = training_state.Status(files, run_id="r", attempt=1)
    live.record(step=1, loss=1.0)
    live.end("completed")
    assert capsys.readouterr().out.count("cannot be written") == 1


def test_the_heartbeat_beats_without_news(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_state, "HEARTBEAT_SECONDS", 0.01)
    live = training_state.Status(files, run_id="r", attempt=1)
    first = json.loads(Path(files["status"]).read_text())
    time.sleep(0.2)
    later = json.loads(Path(files["status"]).read_text())
    live.ended.set()
    assert later["heartbeat_at"] > first["heartbeat_at"]
    assert later["last_updated"] == first["last_updated"]


def test_a_live_process_is_not_stale() -> None:
    here = {"running": True, "pid": os.getpid(), "boot_id": training_state.boot_id()}
    assert not status.is_stale({**here, "heartbeat_at": "2020-01-01T00:00:00.000Z"})


def test_a_dead_process_is_stale() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    dead = {"running": True, "pid": process.pid, "boot_id": training_state.boot_id()}
    assert status.is_stale({**dead, "heartbeat_at": training_state.utc_now()})


def test_a_zombie_is_stale() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    time.sleep(0.5)  # it has ended, and nobody waited for it
    zombie = {"running": True, "pid": process.pid, "boot_id": training_state.boot_id()}
    stale = status.is_stale(zombie)
    process.wait()
    assert stale


@pytest.mark.parametrize(("age", "stale"), [(1, False), (60, True)])
def test_on_another_boot_the_heartbeat_decides(age: int, stale: bool) -> None:
    now = datetime(2026, 11, 20, tzinfo=timezone.utc)
    beat = (now - timedelta(seconds=age)).isoformat().replace("+00:00", "Z")
    other = {"running": True, "pid": os.getpid(), "boot_id": "other", "heartbeat_at": beat}
    assert status.is_stale(other, now=now) is stale


def test_an_ended_training_is_never_stale() -> None:
    assert not status.is_stale({"running": False, "pid": 0, "boot_id": None})


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '"text"'])
def test_an_unreadable_status_is_none(tmp_path: Path, content: str) -> None:
    workspace = Workspace(tmp_path)
    workspace.state.mkdir()
    workspace.status.write_text(content)
    assert status.read(workspace) is None


def test_a_torn_history_line_is_left_out(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.state.mkdir()
    workspace.history.write_text('{"step": 1}\n{"step": 2')
    assert status.history(workspace) == [{"step": 1}]


def test_a_stale_training_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    status.render(Console(), {"phase": "training", "step": 3, "pid": 7, "stale": True})
    shown = capsys.readouterr().out
    assert "stale" in shown
    assert "python -m factory run finetune" in shown


def test_markup_in_an_error_is_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    status.render(Console(), {"phase": "failed", "error": "[bold]<script>"})
    assert "[bold]<script>" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "shown"), [(8.4, "8 s"), (200, "3 min 20 s"), (3725, "1 h 02 min"), (-5, "0 s")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert status.duration(seconds) == shown


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, factory.status; print('pydantic' in sys.modules, 'torch' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["False", "False"]
