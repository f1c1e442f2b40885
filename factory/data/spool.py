"""Canonical rows on their way from the sources to the splits: on disk, in input order."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from factory.data.canonical import Profile
from factory.data.index import RECORD
from factory.data.lines import Segment
from factory.data.work import Done


class SourceProfile(NamedTuple):
    """A profile of the rows of one source."""

    source: int
    profile: Profile


class Spool:
    """The canonical lines in temporary files, and the index over them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=folder, prefix="format-")
        self.folder = Path(self._folder.name)
        self.segments: list[Segment] = []
        self._records: list[np.ndarray] = []
        self._profiles: dict[SourceProfile, int] = {}

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def append(self, done: Done) -> None:
        """Add the rows of one piece."""
        keys = [SourceProfile(done.source, profile) for profile in done.profiles]
        numbers = [self._profiles.setdefault(key, len(self._profiles)) for key in keys]
        if len(done.records):
            done.records["profile"] = np.array(numbers, dtype="<u4")[done.records["profile"]]
            self._records.append(done.records)
            self.segments.append(done.segment)

    def index(self) -> np.ndarray:
        """The index of all rows, in order."""
        return np.concatenate(self._records) if self._records else np.empty(0, RECORD)

    def profiles(self) -> list[SourceProfile]:
        """All profiles, by number."""
        return list(self._profiles)
