"""Canonical rows on their way from the sources to the splits: on disk, in input order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import numpy as np

from factory.data.block import Formatted
from factory.data.index import RECORD, Profile, Profiles


class Spool:
    """A temporary file of canonical lines and the index over them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=folder, prefix="format-")
        self.path = Path(self._folder.name, "rows.jsonl")
        self._lines = self.path.open("wb")
        self._records: list[np.ndarray] = []
        self._profiles = Profiles()

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()
        self._folder.cleanup()

    def append(self, formatted: Formatted) -> None:
        """Add the rows of one block."""
        numbers = np.array([self._profiles.number(p) for p in formatted.profiles], dtype="<u4")
        if len(formatted.records):
            formatted.records["profile"] = numbers[formatted.records["profile"]]
            self._lines.write(formatted.lines)
            self._records.append(formatted.records)

    def finish(self) -> np.ndarray:
        """Flush the lines; return the index of all rows."""
        self._lines.flush()
        return np.concatenate(self._records) if self._records else np.empty(0, RECORD)

    @property
    def profiles(self) -> list[Profile]:
        """All profiles, by number."""
        return list(self._profiles)

    @property
    def folder(self) -> Path:
        """Where the spool lives, for other temporary files of the run."""
        return Path(self._folder.name)

    def lines(self) -> Iterator[bytes]:
        """Yield every line, in input order."""
        with self.path.open("rb") as file:
            yield from file
