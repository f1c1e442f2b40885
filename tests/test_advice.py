"""`factory next`: one action, whose command runs as it is."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import factory, make_workspace, ran


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("advice") / "my model", {})


def test_a_new_workspace_starts_with_format(workspace: Path) -> None:
    action = ran("next", cwd=workspace)
    assert (action["stage"], action["action"]) == ("format", "run")
    assert action["command"] == "python -m factory run format"


def test_from_elsewhere_the_command_names_the_workspace(workspace: Path) -> None:
    command = ran("-C", "my model", "next", cwd=workspace.parent)["command"]
    words = shlex.split(command)[3:]
    assert factory(*words, "--dry-run", cwd=workspace.parent).returncode == 0


def test_a_closed_gate_asks_to_mend_it_and_for_a_person(workspace: Path) -> None:
    assert (
        factory("run", "format", "--set", "dataset.min_samples=9999", cwd=workspace).returncode == 3
    )
    action = ran("next", cwd=workspace)
    assert (action["action"], action["needs_person"]) == ("mend", True)
    assert action["why"].startswith("format.min_samples: ")
    assert "data/raw" in action["mend"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phase": "interrupted"}, "was stopped at step 40 of 200, and goes on"),
        ({"phase": "training", "running": True}, "was stopped at step 40 of 200, and goes on"),
        ({"phase": "failed", "checkpoint_at": None}, "it has not been run here"),
        ({"phase": "completed"}, "it has not been run here"),
    ],
)
def test_a_training_that_did_not_end_is_named(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    from factory import advice, pipeline
    from tests.training.conftest import make_context

    context = make_context(tmp_path / "ws")
    training = {
        "running": False,
        "step": 40,
        "total_steps": 200,
        "checkpoint_at": "2026-11-20T12:00:00Z",
        "heartbeat_at": "2026-11-20T12:00:00Z",
        "boot_id": "another boot",
        "pid": 1,
        **changes,
    }
    context.workspace.state.mkdir()
    context.workspace.status.write_text(json.dumps(training))
    action = advice._action(context, pipeline.find("finetune"))
    assert action is not None
    assert words in action["why"]
