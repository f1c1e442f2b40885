"""Canonical rows on their way from the sources to the splits: on disk, in input order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from factory.data import lines
from factory.data.canonical import Profile
from factory.data.index import Index
from factory.data.lines import Batch, Segment
from factory.data.work import Done

PREFIX = "format-"


class SourceProfile(NamedTuple):
    """A profile of the rows of one source."""

    source: int
    profile: Profile


class Spool:
    """The canonical lines in temporary files, and the index over them.

    Whoever makes one has the lock of the workspace: one that is there already is of a killed run.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for abandoned in folder.glob(f"{PREFIX}*"):
            shutil.rmtree(abandoned)
        self._folder = tempfile.TemporaryDirectory(dir=folder, prefix=PREFIX)
        self.folder = Path(self._folder.name)
        self.segments: list[Segment] = []
        self.index = Index(self.folder)
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
            self.index.append(done.records)
            self.segments.append(done.segment)

    def lines(self) -> Iterator[Batch]:
        """All lines, in order."""
        return lines.read(self.segments, self.index.column("size"))

    def drain(self) -> Iterator[Batch]:
        """All lines, in order, each for the last time: what has been read is gone from the disk."""
        return lines.read(self.segments, self.index.column("size"), drain=True)

    def pick(self, rows: np.ndarray) -> Iterator[bytes]:
        """The lines of `rows`, which are in order."""
        return lines.pick(self.segments, self.index.column("size"), rows)

    def profiles(self) -> list[SourceProfile]:
        """All profiles, by number."""
        return list(self._profiles)

    def profile_number(self, profile: SourceProfile) -> int:
        """The number of a profile, a new one if it has none yet."""
        return self._profiles.setdefault(profile, len(self._profiles))

    def add(self, segment: Segment, records: np.ndarray) -> None:
        """Add rows whose records bear the spool's own profile numbers."""
        self.index.append(records)
        self.segments.append(segment)
