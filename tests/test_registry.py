"""Releases: listed from their own files, compared, promoted only when intact."""

from pathlib import Path
from typing import Any

import pytest

from factory import Workspace, registry, storage
from factory.errors import ConfigError, DataError
from factory.export import release as release_folder


def make(root: Path, version: str, *, rate: float, exact_match: float) -> Path:
    """A release folder with the files that the registry reads."""
    folder = root / "models" / "release" / f"mine-v{version}"
    metrics = {"exact_match": exact_match, "loss": 0.5}
    metadata: dict[str, Any] = {
        "expert": {"name": "mine", "version": version},
        "model": {"base": "models/base", "lora_rank": 8},
        "training": {
            "ended_at": f"2026-01-0{version[-1]}T00:00:00+00:00",
            "duration_seconds": rate * 1000,
            "settings": {"training.learning_rate": rate},
        },
        "gates": {"format": {"ended_at": version}},
    }
    verification = {
        "merged": {"metrics": metrics},
        "gguf": {"q8_0": {"metrics": metrics}},
    }
    storage.write_json(folder / "metadata.json", metadata)
    storage.write_json(folder / "verification.json", verification)
    release_folder.write_checksums(folder, {})
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    make(tmp_path, "0.1.0", rate=1e-4, exact_match=0.8)
    make(tmp_path, "0.1.1", rate=2e-4, exact_match=0.9)
    return Workspace(tmp_path)


def test_releases_are_found_with_their_figures(workspace: Workspace) -> None:
    summaries = [release.summary({}) for release in registry.all_releases(workspace)]
    assert [summary["name"] for summary in summaries] == ["mine-v0.1.0", "mine-v0.1.1"]
    assert [summary["exact_match"] for summary in summaries] == [0.8, 0.9]
    assert registry.all_releases(Workspace(workspace.root / "empty")) == []


def test_a_release_has_a_name_a_version_and_channels(workspace: Workspace) -> None:
    registry.promote(workspace, "0.1.0", "staging")
    for name in ("mine-v0.1.0", "0.1.0", "staging"):
        assert registry.find(workspace, name).name == "mine-v0.1.0"
    for wrong in ("mine-v0.1.2", "stagin"):
        with pytest.raises(ConfigError, match="did you mean"):
            registry.find(workspace, wrong)


def test_what_differs_is_what_was_changed_and_measured(workspace: Workspace) -> None:
    left, right = registry.all_releases(workspace)
    assert registry.compare(left, right) == {
        "expert.version": ("0.1.0", "0.1.1"),
        "measured.merged.exact_match": (0.8, 0.9),
        "measured.q8_0.exact_match": (0.8, 0.9),
        "training.settings.training.learning_rate": (1e-4, 2e-4),
    }


def test_a_channel_keeps_its_history(workspace: Workspace) -> None:
    registry.promote(workspace, "0.1.0", "production")
    registry.promote(workspace, "0.1.1", "production")
    assert registry.channels(workspace) == {"production": "mine-v0.1.1"}
    kept = storage.read_json(workspace.releases / registry.CHANNELS)["production"]
    assert [entry["release"] for entry in kept] == ["mine-v0.1.0", "mine-v0.1.1"]


def test_a_changed_release_is_not_promoted(workspace: Workspace) -> None:
    (workspace.releases / "mine-v0.1.0" / "metadata.json").open("a").write("\n")
    with pytest.raises(DataError, match="SHA256SUMS"):
        registry.promote(workspace, "0.1.0", "production")
    assert registry.channels(workspace) == {}


def test_a_channel_has_a_plain_name(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match="no channel name"):
        registry.promote(workspace, "0.1.0", "../x")
