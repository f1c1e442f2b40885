"""metadata.json is written from gate files, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from factory.config import Config
from factory.console import Console
from factory.context import Context
from factory.errors import GateClosed
from factory.export import metadata
from factory.workspace import Workspace


@pytest.fixture
def empty(tmp_path: Path) -> Context:
    return Context(Workspace(tmp_path), Config(), Console(quiet=True))


def test_a_stage_that_was_not_run_is_named(empty: Context) -> None:
    with pytest.raises(GateClosed, match="run format"):
        metadata.earlier_gates(empty)


def test_training_statistics_are_passed_on_without_the_curve(empty: Context) -> None:
    path = empty.workspace.training_stats
    path.parent.mkdir()
    path.write_text(json.dumps({"samples": 3, "duration_seconds": 1.5, "curve": [{"step": 1}]}))
    assert metadata.training_stats(empty) == {"samples": 3, "duration_seconds": 1.5}
