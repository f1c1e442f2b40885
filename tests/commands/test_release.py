"""`factory release` and `factory models` on a real release."""

import json
import os
from pathlib import Path

import pytest

from tests.conftest import factory, ran

pytestmark = pytest.mark.slow


def test_a_bumped_release_stands_beside_the_old_one(demo: Path) -> None:
    plan = ran("release", "--bump", "minor", "--dry-run", cwd=demo)
    assert plan["release"] == "models/release/mcp-tools-v0.2.0"
    assert not (demo / plan["release"]).exists()

    made = ran("release", "--bump", "patch", cwd=demo)
    assert made["release"] == "models/release/mcp-tools-v0.1.1"
    assert json.loads((demo / "training-config.json").read_text())["project"]["version"] == "0.1.1"

    names = [release["name"] for release in ran("models", "list", cwd=demo)["releases"]]
    assert names == ["mcp-tools-v0.1.0", "mcp-tools-v0.1.1"]
    assert set(ran("models", "diff", "0.1.0", "0.1.1", cwd=demo)) == {"expert.version"}

    assert ran("models", "promote", "0.1.1", cwd=demo)["channel"] == "production"
    shown = ran("models", "show", "production", cwd=demo)
    assert shown["name"] == "mcp-tools-v0.1.1"
    adapter = json.loads((demo / made["release"] / "adapter" / "metadata.json").read_text())
    assert adapter["training"]["num_samples"] == 694
    assert adapter["model"]["lora_rank"] == 16
    assert {"expert", "hardware", "metadata"} <= set(adapter)


def test_a_push_without_a_token_is_refused_and_bumps_nothing(
    demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = (demo / "training-config.json").read_bytes()
    done = factory("release", "--bump", "major", "--push", cwd=demo)
    assert done.returncode == 2
    assert "save.hub_model_id" in done.stderr or "HF_TOKEN" in done.stderr
    assert (demo / "training-config.json").read_bytes() == before
    assert "HF_TOKEN" not in os.environ
