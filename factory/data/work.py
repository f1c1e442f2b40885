"""Pieces to spool, by one process or several: the same results in the same order."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver, get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from factory import child
from factory.data.block import Origin, Reject, format_block
from factory.data.canonical import Profile
from factory.data.containers import Piece, numbering
from factory.data.index import RECORD
from factory.data.lines import Segment

if TYPE_CHECKING:
    from factory.artifacts import Decision
    from factory.data.sources import SourceFile

BYTES_PER_WORKER = 64 << 20  # starting a process costs as much as reading this much
PIECES_PER_PART = 4  # some 32 MB: what the disk is given back at a time
RECYCLED_BYTES, KEPT_BYTES = 2 << 20, 64 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
ALGEBRA_THREADS = "OPENBLAS_NUM_THREADS"
NO_RECORDS = np.empty(0, RECORD)
QUEUED_PER_WORKER = 3  # enough to keep every worker busy while the parent takes results in order


class Task(NamedTuple):
    """One piece of one source; `source` is its number among the sources.

    A process writes the lines of pieces with the same `part` to one file.
    """

    source: int
    part: int
    origin: Origin
    piece: Piece


class Done(NamedTuple):
    """What became of one piece. `records` number their profiles as `profiles` lists them."""

    source: int
    segment: Segment
    records: np.ndarray
    profiles: list[Profile]
    rejects: list[Reject]


def choose_workers(files: Sequence[SourceFile], asked: int | None) -> Decision:
    """How many processes read: as configured, or one for each BYTES_PER_WORKER up to the cores."""
    from factory.artifacts import Decision  # on use: workers start faster without it

    if asked is not None:
        return Decision(value=asked, reason="dataset.num_proc")
    cores = len(os.sched_getaffinity(0))
    size = sum(file.path.stat().st_size for file in files)
    workers = max(1, min(cores, size // BYTES_PER_WORKER))
    return Decision(value=workers, reason=f"{size / 1e6:.1f} MB to read on {cores} cores")


class Pool(NamedTuple):
    """The processes that format pieces; with one worker it is this one."""

    workers: int
    executor: ProcessPoolExecutor | None


@contextmanager
def pool(workers: int) -> Iterator[Pool]:
    """The processes that will format pieces; what they need is loaded meanwhile."""
    _recycle_memory()
    if workers == 1:
        yield Pool(workers, None)
        return
    # Not forked from this process, which has threads (its progress bar), but from a server that has
    # loaded once what all of them need.
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with _one_thread_each(), _uninterrupted():
        forkserver.ensure_running()
    board = numbering.board(context, workers * QUEUED_PER_WORKER)
    with ProcessPoolExecutor(workers, context, _start_formatting, (board,)) as executor:
        yield Pool(workers, executor)


def format_pieces(tasks: Iterable[Task], folder: Path, pool: Pool) -> Iterator[Done]:
    """Format every piece; lines go to files in `folder`, results come in the order of `tasks`."""
    if pool.executor is None:
        for task in tasks:
            yield _format_piece(task, folder)
        return
    running: deque[Future[tuple[Done, Segment]]] = deque()
    for task in tasks:
        running.append(pool.executor.submit(_format_and_keep, task, folder))
        if len(running) >= pool.workers * QUEUED_PER_WORKER:
            yield _with_records(*running.popleft().result())
    while running:
        yield _with_records(*running.popleft().result())


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let processes that are started have no threads for algebra: those wait busily for work.

    And a process that others are forked from must have none at all.
    """
    before = os.environ.get(ALGEBRA_THREADS)
    os.environ[ALGEBRA_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ALGEBRA_THREADS]
        else:
            os.environ[ALGEBRA_THREADS] = before


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let processes that are started leave Ctrl-C to this one, which tells them when to stop."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def start_worker() -> None:
    """In a worker: be ready for blocks of rows."""
    child.start_worker()
    _recycle_memory()


def _start_formatting(board: numbering.Board) -> None:
    start_worker()
    numbering.share(board)


def _recycle_memory() -> None:
    """Let blocks of memory be used again as they are, which costs a tenth less.

    glibc maps fresh pages for every allocation above a threshold, and gives back what is free
    beyond another; by itself it raises both with what is freed (mallopt(3)). Here the first is
    above the size of a block and of what is made of it, and below that of a column of many rows;
    the other is above all that a block and a batch need. Other C libraries are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, RECYCLED_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def _format_piece(task: Task, folder: Path) -> Done:
    """Append the lines of one piece to this process's own file of its part."""
    path = folder / f"part-{task.part}-{os.getpid()}.jsonl"
    profiles: dict[Profile, int] = {}
    records: list[np.ndarray] = []
    rejects: list[Reject] = []
    with path.open("ab") as file, _without_collector():
        offset = file.tell()
        for block in task.piece.blocks():
            done = format_block(block, task.origin, profiles)
            file.write(done.lines)
            records.append(done.records)
            rejects += done.rejects
        end = file.tell()
    # Not concatenate, which copies field by field.
    index = np.frombuffer(bytearray().join(array.data for array in records), RECORD)
    segment = Segment(path, offset, end - offset, len(index))
    return Done(task.source, segment, index, list(profiles), rejects)


def _format_and_keep(task: Task, folder: Path) -> tuple[Done, Segment]:
    """In a worker: format a piece, but leave the records in a file, which a pipe is slower than."""
    done = _format_piece(task, folder)
    path = folder / f"records-{os.getpid()}"
    with path.open("ab") as file:
        kept = Segment(path, file.tell(), done.records.nbytes, len(done.records))
        file.write(done.records.tobytes())
    return done._replace(records=NO_RECORDS), kept


def _with_records(done: Done, kept: Segment) -> Done:
    return done._replace(records=np.fromfile(kept.path, RECORD, kept.rows, offset=kept.offset))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Spare the cyclic collector: rows are trees, and looking for cycles costs a tenth."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
