"""What must never ship: a secret from the environment, a path of this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from factory import storage

SECRET_NAMES = ("TOKEN", "API_KEY", "SECRET", "PASSWORD")
# Shorter values ("1", "true", a workspace at "/") would be found by chance.
MIN_LENGTH = 8


def find(folder: Path, workspace: Path, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Say, file by file, what leaks; a secret is named by its variable, never quoted."""
    texts = {value: f"the value of {name}" for name, value in _secrets(environment).items()}
    texts[str(workspace)] = "the path of this workspace"
    needles = {text.encode(): what for text, what in texts.items() if len(text) >= MIN_LENGTH}
    return [
        f"{path.relative_to(folder).as_posix()} holds {what}"
        for path in storage.list_files(folder)
        for what in _found(path, needles)
    ]


def _secrets(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in environment.items() if name.upper().endswith(SECRET_NAMES)
    }


def _found(path: Path, needles: Mapping[bytes, str]) -> list[str]:
    """Which needles are in a file, read in pieces that overlap by the longest needle."""
    overlap = max(map(len, needles), default=1)
    found: set[str] = set()
    kept = b""
    with storage.open_regular(path) as file:
        while chunk := file.read(storage.CHUNK_BYTES):
            piece = kept + chunk
            found |= {what for needle, what in needles.items() if needle in piece}
            kept = piece[-overlap:]
    return sorted(found)
