"""The releases of a workspace: list, show, compare, and promote one to a channel.

A release is a folder below models/release with a metadata.json; the files themselves are the
registry. Only channels (`production`, `staging`, ...) are kept apart, in `channels.json`, with the
history of what each pointed to.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from factory import provenance, storage
from factory.errors import ConfigError, DataError, did_you_mean
from factory.export import release as release_folder
from factory.workspace import Workspace

CHANNELS = "channels.json"
CHANNEL_NAME = re.compile(r"^[a-z][a-z0-9-]{0,40}$")
# Of metadata.json: names of files, and when a stage ended, say nothing about what two models
# differ in.
NOT_COMPARED = re.compile(
    r"(^gates\.|^artifacts\.|_at$|^training\.(run_id|attempt|duration|tokens_per_second))"
)


@dataclass(frozen=True)
class Release:
    """One release folder and what its metadata says."""

    name: str
    folder: Path
    metadata: dict[str, Any]
    verification: dict[str, Any]

    def summary(self, channels: dict[str, str]) -> dict[str, Any]:
        """One line of the list."""
        metrics = self.verification["merged"]["metrics"]
        return {
            "name": self.name,
            "version": self.metadata["expert"]["version"],
            "base": self.metadata["model"]["base"],
            "exact_match": metrics["exact_match"],
            "loss": metrics["loss"],
            "gguf": sorted(self.verification["gguf"]),
            "ended_at": self.metadata["training"]["ended_at"],
            "channels": sorted(channel for channel, name in channels.items() if name == self.name),
        }


@dataclass(frozen=True)
class Promotion:
    """One entry of a channel's history."""

    release: str
    at: str
    by: str


def all_releases(workspace: Workspace) -> list[Release]:
    """Every complete release, by name."""
    if not workspace.releases.is_dir():
        return []
    folders = [path for path in sorted(workspace.releases.iterdir()) if path.is_dir()]
    return [
        _read(folder)
        for folder in folders
        if not folder.name.startswith(".") and (folder / "metadata.json").exists()
    ]


def find(workspace: Workspace, name: str) -> Release:
    """A release by its name, its version, or a channel; ConfigError with the nearest name."""
    known = {release.name: release for release in all_releases(workspace)}
    promoted = channels(workspace)
    name = promoted.get(name, name)
    by_version = [
        release for release in known.values() if release.metadata["expert"]["version"] == name
    ]
    if name in known:
        return known[name]
    if len(by_version) == 1:
        return by_version[0]
    raise ConfigError(
        f"no release {name!r}{did_you_mean(name, [*known, *promoted])}",
        where=str(workspace.releases),
        hint="python -m factory models list",
    )


def _read(folder: Path) -> Release:
    return Release(
        folder.name,
        folder,
        storage.read_json(folder / "metadata.json"),
        storage.read_json(folder / "verification.json"),
    )


def compare(left: Release, right: Release) -> dict[str, tuple[Any, Any]]:
    """What two releases differ in: settings, data, versions and measured figures."""
    sides = [_flat({**one.metadata, "measured": _measured(one)}) for one in (left, right)]
    keys = sorted(key for key in {**sides[0], **sides[1]} if not NOT_COMPARED.search(key))
    return {
        key: (sides[0].get(key), sides[1].get(key))
        for key in keys
        if sides[0].get(key) != sides[1].get(key)
    }


def _measured(release: Release) -> dict[str, Any]:
    proofs = {"merged": release.verification["merged"], **release.verification["gguf"]}
    return {name: proof["metrics"] for name, proof in proofs.items()}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def channels(workspace: Workspace) -> dict[str, str]:
    """Channel -> name of the release it points to."""
    return {name: history[-1]["release"] for name, history in _history(workspace).items()}


def promote(workspace: Workspace, name: str, channel: str) -> Release:
    """Point `channel` to a release whose files are all as they were written.

    Raises ConfigError for an impossible channel name, DataError for a changed release.
    """
    if not CHANNEL_NAME.match(channel):
        raise ConfigError(
            f"{channel!r} is no channel name", where="--to", hint="lower-case letters, e.g. staging"
        )
    release = find(workspace, name)
    if not release_folder.is_intact(release.folder):
        raise DataError(
            "a file is not what SHA256SUMS says",
            where=str(release.folder),
            hint="python -m factory run export --force writes the release again",
        )
    history = _history(workspace)
    entry = Promotion(release.name, provenance.now(), provenance.person())
    history.setdefault(channel, []).append(asdict(entry))
    storage.write_json(workspace.releases / CHANNELS, history)
    return release


def _history(workspace: Workspace) -> dict[str, list[dict[str, str]]]:
    path = workspace.releases / CHANNELS
    if not path.exists():
        return {}
    found: dict[str, list[dict[str, str]]] = storage.read_json(path)
    return found
