"""Training every weight, without an adapter, through all five stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import make_workspace, ran

pytestmark = pytest.mark.slow

RELEASE = "models/release/mcp-tools-v0.1.0"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {
        "model": {"full_finetuning": True},
        "training": {"max_steps": 12, "logging_steps": 2, "eval_steps": 0},
        "evaluation": {"metric": "loss", "max_samples": 20, "max_new_tokens": 16, "targets": {}},
    }
    folder = make_workspace(tmp_path_factory.mktemp("full") / "ws", changes)
    ran("run", "all", cwd=folder)
    return folder


def read(workspace: Path, name: str) -> Any:
    return json.loads((workspace / name).read_text(encoding="utf-8"))


def test_no_adapter_is_trained_or_released(workspace: Path) -> None:
    assert not (workspace / "models/checkpoints/lora").exists()
    names = {path.name for path in (workspace / RELEASE).iterdir()}
    assert {"merged", "gguf"} <= names
    assert "adapter" not in names


def test_what_is_evaluated_is_the_model_that_ships(workspace: Path) -> None:
    report = read(workspace, "metrics/evaluation.json")
    assert report["model"] == "models/checkpoints/merged"
    proof = read(workspace, f"{RELEASE}/verification.json")
    assert proof["method"] == "full"
    shipped = proof["weights"]["shipped"]["model.safetensors"]
    assert report["weights_sha256"] == {"model.safetensors": shipped}
    checks = {
        check["id"]: check for check in read(workspace, ".factory/gates/export.json")["checks"]
    }
    assert checks["export.model"]["passed"]
    assert "export.adapter" not in checks


def test_card_and_metadata_say_that_every_weight_was_trained(workspace: Path) -> None:
    card = (workspace / RELEASE / "README.md").read_text(encoding="utf-8")
    assert "A full fine-tune of `models/base`" in card
    assert "PeftModel" not in card
    assert "lora.r" not in card
    metadata = read(workspace, f"{RELEASE}/metadata.json")
    assert metadata["model"]["method"] == "full"
    assert metadata["artifacts"] == {"merged": "merged", "q8_0": "gguf/mcp-tools-v0.1.0-q8_0.gguf"}


def test_check_passes(workspace: Path) -> None:
    assert {one["result"] for one in ran("check", cwd=workspace)["stages"]} == {"passed"}
