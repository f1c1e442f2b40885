"""Every row through a function, by one process or several: the same results in the same order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

import numpy as np

from factory.data.lines import Segment, pick
from factory.data.spool import Spool
from factory.data.work import QUEUED_PER_WORKER, start_worker

Found = TypeVar("Found")
CHUNK_ROWS = 2048
ROWS_PER_WORKER = 10_000  # starting a process costs as much as looking at so many


def scan(
    spool: Spool, rows: np.ndarray, function: Callable[[Sequence[bytes]], Found], workers: int
) -> Iterator[tuple[np.ndarray, Found]]:
    """Yield chunks of `rows` (in order) with what `function` made of their canonical lines.

    With several workers `function` is sent to them: it has to be a module's, or a partial of one.
    """
    chunks = [rows[start : start + CHUNK_ROWS] for start in range(0, len(rows), CHUNK_ROWS)]
    workers = min(workers, len(rows) // ROWS_PER_WORKER)
    if workers < 2:
        lines = spool.pick(rows)
        for chunk in chunks:
            yield chunk, function(list(islice(lines, len(chunk))))
        return
    read = partial(_read, function, spool.segments, str(spool.index.path("size")))
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=start_worker)
    with pool:
        running: deque[tuple[np.ndarray, Future[Found]]] = deque()
        for chunk in chunks:
            running.append((chunk, pool.submit(read, chunk)))
            if len(running) >= workers * QUEUED_PER_WORKER:
                done, future = running.popleft()
                yield done, future.result()
        for done, future in running:
            yield done, future.result()


def _read(
    function: Callable[[Sequence[bytes]], Found],
    segments: Sequence[Segment],
    sizes: str,
    chunk: np.ndarray,
) -> Found:
    """In a worker: the lines of a chunk, and what the function makes of them."""
    return function(list(pick(segments, np.memmap(sizes, "<u4", "r"), chunk)))
