"""`factory release` and `factory models` on a real, tiny release."""

import json
import shutil
from pathlib import Path

import pytest

from factory import init, storage
from tests.conftest import factory, ran

pytestmark = pytest.mark.slow

TINY = {
    "lora": {"r": 8, "use_gradient_checkpointing": False},
    "training": {
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "max_steps": 40,
        "learning_rate": 3e-3,
        "eval_steps": 0,
        "save_steps": 40,
    },
    "evaluation": {"max_new_tokens": 8, "metric": "loss"},
}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with its first release, v0.1.0. Copy it; do not change it."""
    folder = tmp_path_factory.mktemp("released") / "tiny"
    init.make(folder, sample=True)
    path = folder / "training-config.json"
    storage.write_json(path, {**storage.read_json(path), **TINY})
    ran("run", "all", cwd=folder)
    return folder


@pytest.fixture
def workspace(released: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "tiny"))


def test_a_bumped_release_stands_beside_the_old_one(workspace: Path) -> None:
    plan = ran("release", "--bump", "minor", "--dry-run", cwd=workspace)
    assert plan["release"] == "models/release/tiny-v0.2.0"
    assert not (workspace / plan["release"]).exists()

    made = ran("release", "--bump", "patch", cwd=workspace)
    assert made["release"] == "models/release/tiny-v0.1.1"
    config = json.loads((workspace / "training-config.json").read_text())
    assert config["project"]["version"] == "0.1.1"
    assert ran("run", "export", cwd=workspace)["stages"][0]["action"] == "skipped"

    names = [release["name"] for release in ran("models", "list", cwd=workspace)["releases"]]
    assert names == ["tiny-v0.1.0", "tiny-v0.1.1"]
    assert set(ran("models", "diff", "0.1.0", "0.1.1", cwd=workspace)) == {"expert.version"}
    assert ran("models", "promote", "0.1.1", cwd=workspace)["channel"] == "production"
    assert ran("models", "show", "production", cwd=workspace)["name"] == "tiny-v0.1.1"


def test_the_adapter_says_where_it_came_from(released: Path) -> None:
    for folder in ("models/checkpoints/lora", "models/release/tiny-v0.1.0/adapter"):
        metadata = json.loads((released / folder / "metadata.json").read_text())
        assert metadata["expert"]["name"] == "tiny"
        assert metadata["model"]["lora_rank"] == 8
        assert metadata["training"]["num_samples"] == 192
        assert metadata["training"]["duration_seconds"] > 0
        assert {"hardware", "metadata"} <= set(metadata)


def test_a_push_without_a_token_is_refused_and_bumps_nothing(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    before = (workspace / "training-config.json").read_bytes()
    for words in (["--dry-run"], []):
        done = factory("release", "--bump", "major", "--push", *words, cwd=workspace)
        assert done.returncode == 2
        assert "save.hub_model_id" in done.stderr
    assert (workspace / "training-config.json").read_bytes() == before
