"""The splits as files: every kept line to its split, in input order."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import compress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import orjson

from factory import storage
from factory.data.lines import Batch
from factory.data.rows import DROPS, KEPT, REPLACED, Rows, Values

_part: Callable[[bytes, np.ndarray, np.ndarray, int], tuple[bytes, ...]] | None
try:
    from factory.data._lines import part as _part
except ImportError:  # installed without a C compiler
    _part = None

WAITING = 4  # tasks of a thread
FLUSH_BYTES = 64 << 20


def write_splits(
    batches: Iterable[Batch],
    fate: np.ndarray,
    repeated: np.ndarray,
    paths: Sequence[Path],
    again: Iterable[bytes] = (),
    *,
    beside: bool = False,
) -> list[str]:
    """Write each line to the path of its split number; a negative fate drops the line.

    Rows marked in `repeated` bear an id that an earlier row has: theirs is made unique.
    The lines of `again` follow at the end of the first file.
    Returns the hex SHA-256 of every file, taken while it is written. `beside` the writing, threads
    hash, and make the disk take what is written as it comes, not all of it at the end.
    """
    digests = [hashlib.sha256() for _ in paths]
    unflushed = 0
    with ExitStack() as stack:
        files = [stack.enter_context(storage.atomic_write(path)) for path in paths]
        update, flush = (stack.enter_context(_thread()) if beside else _call for _ in range(2))
        for batch in batches:
            rows = slice(batch.first, batch.first + len(batch.ends))
            changed = batch if not repeated[rows].any() else _renamed(batch, repeated[rows])
            parts = _parted(changed, fate[rows], len(files))
            for file, data in zip(files, parts, strict=True):
                file.write(data)
            update(_hash, digests, parts)
            unflushed += len(batch.data)
            if beside and unflushed > FLUSH_BYTES:
                unflushed = 0
                for file in files:
                    flush(os.fdatasync, file.fileno())
        for line in again:
            files[0].write(line)
            update(_hash, digests[:1], [line])
    return [digest.hexdigest() for digest in digests]


def _hash(digests: Sequence[hashlib._Hash], parts: Sequence[bytes]) -> None:
    for digest, data in zip(digests, parts, strict=True):
        digest.update(data)


def _call(function: Callable[..., object], *arguments: object) -> None:
    function(*arguments)


@contextmanager
def _thread() -> Iterator[Callable[..., None]]:
    """A function that does what `_call` does in a thread, in order; all is done at the end."""
    waiting: deque[Future[object]] = deque()
    with ThreadPoolExecutor(1, thread_name_prefix="split") as thread:

        def later(function: Callable[..., object], *arguments: object) -> None:
            waiting.append(thread.submit(function, *arguments))
            if len(waiting) > WAITING:
                waiting.popleft().result()

        yield later
        while waiting:
            waiting.popleft().result()


def copies(repeats: Values, lines: Iterable[bytes], repeated: np.ndarray) -> Iterator[bytes]:
    """The lines of the rows that are repeated, as often as they are, each under its own id."""
    for number, times, line in zip(*(v.tolist() for v in repeats), lines, strict=True):
        row = orjson.loads(line)
        name = f"{row['id']}#{number}" if repeated[number] else row["id"]
        for copy in range(times):
            row["id"] = f"{name}~{copy + 2}"
            yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _parted(batch: Batch, fate: np.ndarray, splits: int) -> Sequence[bytes]:
    """What goes to each split."""
    if _part is not None:
        return _part(batch.data, batch.ends, fate, splits)
    # Neighbours that share a split are one part.
    lasts = np.append(np.flatnonzero(fate[1:] != fate[:-1]), len(fate) - 1)
    stops = batch.ends[lasts].tolist()
    parts = list(map(memoryview(batch.data).__getitem__, map(slice, [0, *stops[:-1]], stops)))
    numbers = fate[lasts].tolist()
    return [b"".join(compress(parts, map(split.__eq__, numbers))) for split in range(splits)]


def write_drops(output: BinaryIO, rows: Rows, benchmarks: Sequence[str]) -> None:
    """Write why each row was left out that was fit to be used: file, line, reason, detail."""
    for row in np.flatnonzero((rows.fate < KEPT) & (rows.fate != REPLACED)).tolist():
        name, number = rows.place(row)
        reason = DROPS[int(rows.fate[row])]
        original = rows.twins.of(row) if reason == "duplicate" else rows.near.of(row)
        if reason in ("duplicate", "near_duplicate") and original is not None:
            detail = "{} {}:{}".format(_LIKE[reason], *rows.place(original))
        elif reason == "contaminated":
            detail = f"repeats {benchmarks[rows.contamination.of(row) or 0]}"
        elif reason == "not_drawn":
            detail = "beyond the share of its source in dataset.mix"
        elif row in rows.remarks:
            detail = rows.remarks[row]
        else:
            detail = f"{rows.tokens.of(row)} tokens"
        storage.write_jsonl(
            output, {"file": name, "line": number, "reason": reason, "detail": detail}
        )


_LIKE = {"duplicate": "same as", "near_duplicate": "almost the same as"}


def _renamed(batch: Batch, repeated: np.ndarray) -> Batch:
    """The batch with the row's number added to every repeated id."""
    lines = []
    start = 0
    for position, (end, again) in enumerate(zip(batch.ends.tolist(), repeated, strict=True)):
        line = batch.data[start:end]
        start = end
        if again:
            row = orjson.loads(line)
            row["id"] = f"{row['id']}#{batch.first + position}"
            line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        lines.append(line)
    return Batch(batch.first, b"".join(lines), np.cumsum(list(map(len, lines))))
