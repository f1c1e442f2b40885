"""The index: a column file for each key, so that neither texts nor keys stay in memory.

Dedup and split need to see all rows, but one or two columns of them at a time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

RECORD = np.dtype(
    [
        ("content", "<u8"),
        ("content_low", "<u8"),  # the other half of the content's 128 bits
        ("user", "<u8"),
        ("group", "<u8"),
        ("id", "<u8"),
        ("profile", "<u4"),
        ("size", "<u4"),
        ("line", "<u4"),
    ]
)


class Index:
    """The columns of all rows, in files of `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = 0
        for name in RECORD.names or ():
            self.path(name).touch()

    def path(self, name: str) -> Path:
        """The file of one column."""
        return self.folder / f"{name}.column"

    def append(self, records: np.ndarray) -> None:
        """Add rows."""
        for name in RECORD.names or ():
            with self.path(name).open("ab") as file:
                file.write(records[name].tobytes())
        self.rows += len(records)

    def column(self, name: str) -> np.ndarray:
        """Read one column; it lives as long as the caller keeps it."""
        return np.fromfile(self.path(name), RECORD[name])


def shared(values: np.ndarray) -> np.ndarray:
    """Return the positions, in order, of the non-zero values that occur more than once."""
    if not values.any():
        return np.empty(0, dtype=np.int64)
    ordered = np.sort(values)
    again = ordered[1:][(ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)]
    del ordered
    return np.flatnonzero(np.isin(values, again)) if len(again) else np.empty(0, dtype=np.int64)
