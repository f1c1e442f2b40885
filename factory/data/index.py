"""The index: 48 bytes a row, so that dedup and split never hold a row's text in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

RECORD = np.dtype(
    [
        ("content_high", "<u8"),
        ("content_low", "<u8"),
        ("user", "<u8"),
        ("group", "<u8"),
        ("id", "<u8"),
        ("profile", "<u4"),
        ("size", "<u4"),
    ]
)


class Profile(NamedTuple):
    """What many rows have in common, kept once: all that the report counts by split."""

    source: int
    roles: tuple[str, ...]
    calls: tuple[str, ...]
    rich: bool
    split: int
    findings: tuple[str, ...]


class Profiles:
    """Profiles numbered in the order of their first row."""

    def __init__(self) -> None:
        self.numbers: dict[Profile, int] = {}

    def number(self, profile: Profile) -> int:
        """The number of `profile`, a new one if it is new."""
        return self.numbers.setdefault(profile, len(self.numbers))

    def __iter__(self) -> Iterator[Profile]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)
