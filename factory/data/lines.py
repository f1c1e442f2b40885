"""The canonical lines of a run where they lie: read in order, or picked by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

BATCH_ROWS = 512


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


def read(segments: Sequence[Segment], sizes: np.ndarray) -> Iterator[Batch]:
    """Yield all lines in batches; `sizes` are the bytes of every row."""
    row = 0
    for segment in segments:
        stop = row + segment.rows
        with segment.path.open("rb") as file:
            file.seek(segment.offset)
            while row < stop:
                ends = np.cumsum(sizes[row : min(row + BATCH_ROWS, stop)], dtype=np.int64)
                yield Batch(row, file.read(int(ends[-1])), ends)
                row += len(ends)


def pick(segments: Sequence[Segment], sizes: np.ndarray, rows: np.ndarray) -> Iterator[bytes]:
    """Yield the lines of `rows`, in their order."""
    ends = np.cumsum(sizes, dtype=np.int64)
    starts_of_segments = np.cumsum([0, *(segment.size for segment in segments)])
    starts = (ends - sizes)[rows]
    places = np.searchsorted(starts_of_segments, starts, side="right") - 1
    with ExitStack() as stack:
        files = {}
        for place, start, size in zip(places.tolist(), starts, sizes[rows], strict=True):
            segment = segments[place]
            if segment.path not in files:
                files[segment.path] = stack.enter_context(segment.path.open("rb"))
            file = files[segment.path]
            file.seek(segment.offset + int(start - starts_of_segments[place]))
            yield file.read(int(size))
