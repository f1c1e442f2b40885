"""What is known of every row that became canonical, and what is to become of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from factory.data.canonical import NO_SPLIT
from factory.data.index import Index

if TYPE_CHECKING:
    from factory.data.sources import SourceFile
    from factory.data.spool import SourceProfile

# The fate of a row: its split number, or why it is left out.
KEPT, DUPLICATE, TOO_LONG, UNRENDERABLE = 0, -1, -2, -3
NEAR_DUPLICATE, CONTAMINATED, NOT_DRAWN = -4, -5, -6
LOW_SCORE, PRIVATE, SAME_MEANING = -8, -9, -10
REPLACED = -7  # others stand for it, and are counted instead
DROPS = {
    DUPLICATE: "duplicate",
    NEAR_DUPLICATE: "near_duplicate",
    SAME_MEANING: "semantic_duplicate",
    CONTAMINATED: "contaminated",
    TOO_LONG: "too_long",
    UNRENDERABLE: "template_refuses",
    NOT_DRAWN: "not_drawn",
    LOW_SCORE: "low_rule_score",
    PRIVATE: "pii",
}


class Values(NamedTuple):
    """A value for some of the rows; `rows` are in order."""

    rows: np.ndarray
    values: np.ndarray

    def of(self, row: int) -> int | None:
        """The value of one row, None if it has none."""
        place = int(np.searchsorted(self.rows, row))
        found = place < len(self.rows) and self.rows[place] == row
        return int(self.values[place]) if found else None


def _none() -> Values:
    return Values(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))


@dataclass
class Rows:
    """All rows of a run. Only `fate` holds a byte for each; the rest is read when it is needed.

    files:       the sources, by the number that profiles give
    twins:       for each duplicate, the earlier row that it repeats
    near:        for each near duplicate, the earlier row that it resembles most
    semantic:    for each semantic duplicate, the earlier row that means most the same
    contamination: for each row that repeats a benchmark, the number of its file
    tokens:      the lengths that were counted
    repeats:     how many times more a train row is written
    remarks:     for some of the rows that are left out, what was found
    added:       for each row that replaces another, which; those are the last rows
    """

    index: Index
    profiles: Sequence[SourceProfile]
    files: Sequence[SourceFile]
    fate: np.ndarray = field(init=False)
    twins: Values = field(default_factory=_none)
    near: Values = field(default_factory=_none)
    semantic: Values = field(default_factory=_none)
    contamination: Values = field(default_factory=_none)
    tokens: Values = field(default_factory=_none)
    repeats: Values = field(default_factory=_none)
    added: Values = field(default_factory=_none)
    remarks: dict[int, str] = field(default_factory=dict)
    _places: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        self.fate = np.full(self.index.rows, KEPT, dtype=np.int8)

    def asked(self) -> np.ndarray:
        """The split that each row or its file names, NO_SPLIT where neither does."""
        by_profile = [
            self.files[p.source].split if p.profile.split == NO_SPLIT else p.profile.split
            for p in self.profiles
        ]
        return np.array(by_profile, dtype=np.int8)[self.index.column("profile")]

    def rich(self) -> np.ndarray:
        """Whether each row has tools, calls or reasoning besides its texts."""
        return np.array([p.profile.rich for p in self.profiles], dtype=bool)[
            self.index.column("profile")
        ]

    def place(self, row: int) -> tuple[str, int]:
        """File and line of one row; the first call reads the columns that say so."""
        if self._places is None or len(self._places[0]) <= row:
            self._places = self.index.column("profile"), self.index.column("line")
        profile, line = self._places
        return self.files[self.profiles[int(profile[row])].source].name, int(line[row])

    def drop(self, rows: np.ndarray, fate: int) -> None:
        """Leave `rows` out for the reason `fate`."""
        self.fate[rows] = fate

    def replace(self, originals: np.ndarray) -> None:
        """Take in rows that were added to the index, each in the place of one of `originals`."""
        first = len(self.fate)
        self.fate[originals] = REPLACED
        self.fate = np.append(self.fate, np.full(len(originals), KEPT, dtype=np.int8))
        new = np.arange(first, len(self.fate))
        self.added = Values(
            np.append(self.added.rows, new), np.append(self.added.values, originals)
        )
