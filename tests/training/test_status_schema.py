"""What the training script writes is what the published schema promises."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from factory import schemas
from factory.training.script import TEMPLATES
from factory.training.templates.training_state import Status

SCHEMA = schemas.schema("training-status")
PHASES = SCHEMA["properties"]["phase"]["enum"]


@pytest.fixture
def status(tmp_path: Path) -> Status:
    files = {"status": str(tmp_path / "status.json"), "history": str(tmp_path / "history.jsonl")}
    return Status(files, run_id="0123456789ab", attempt=1)


def test_the_first_state_is_valid(status: Status) -> None:
    jsonschema.validate(json.loads(status.path.read_text()), SCHEMA)


@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_is_valid(status: Status, phase: str) -> None:
    status.update(phase=phase)
    jsonschema.validate(json.loads(status.path.read_text()), SCHEMA)


def test_values_that_are_not_finite_are_null(status: Status) -> None:
    status.update(loss=float("nan"), grad_norm=float("inf"))
    jsonschema.validate(json.loads(status.path.read_text()), SCHEMA)


def test_the_last_state_is_valid(status: Status) -> None:
    status.end("failed", "loss is nan at step 3")
    jsonschema.validate(json.loads(status.path.read_text()), SCHEMA)


def test_every_field_is_always_there(status: Status) -> None:
    assert set(json.loads(status.path.read_text())) == set(SCHEMA["properties"])


def test_a_phase_of_the_script_is_in_the_schema() -> None:
    text = "".join(path.read_text() for path in TEMPLATES.glob("*.py"))
    assert set(re.findall(r'phase="(\w+)"', text)) <= set(PHASES)
