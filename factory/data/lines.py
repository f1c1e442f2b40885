"""The canonical lines of a run where they lie: read in order, or picked by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

BATCH_ROWS = 1024  # some 1.4 MB: so few that handing them to a thread costs little


class Segment(NamedTuple):
    """A stretch of lines in a file."""

    path: Path
    offset: int
    size: int
    rows: int


class Batch(NamedTuple):
    """Consecutive lines: the number of the first row, all bytes, and where each line ends."""

    first: int
    data: bytes
    ends: np.ndarray


def read(segments: Sequence[Segment], sizes: np.ndarray, *, drain: bool = False) -> Iterator[Batch]:
    """Yield all lines in batches; `sizes` are the bytes of every row.

    With `drain` every file is removed when its last line has been read.
    """
    last = {segment.path: number for number, segment in enumerate(segments)}
    row = 0
    for number, segment in enumerate(segments):
        stop = row + segment.rows
        with segment.path.open("rb") as file:
            file.seek(segment.offset)
            while row < stop:
                ends = np.cumsum(sizes[row : min(row + BATCH_ROWS, stop)], dtype=np.int64)
                yield Batch(row, file.read(int(ends[-1])), ends)
                row += len(ends)
        if drain and last[segment.path] == number:
            segment.path.unlink()


def pick(segments: Sequence[Segment], sizes: np.ndarray, rows: np.ndarray) -> Iterator[bytes]:
    """Yield the lines of `rows`, which are in order."""
    first = 0
    for segment in segments:
        stop = first + segment.rows
        start, end = np.searchsorted(rows, (first, stop))
        if start < end:
            ends = np.cumsum(sizes[first:stop], dtype=np.int64)
            with segment.path.open("rb") as file:
                for row in (rows[start:end] - first).tolist():
                    size = int(sizes[first + row])
                    file.seek(segment.offset + int(ends[row]) - size)
                    yield file.read(size)
        first = stop
