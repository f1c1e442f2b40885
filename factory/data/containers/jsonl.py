"""JSON lines: read in large pieces that end at line ends; no longer line is ever in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from factory import storage
from factory.data.parse import check_duplicate_keys, parse_object
from factory.data.rejection import Rejected

BLOCK_BYTES = 4 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineBlock(NamedTuple):
    """Whole lines of one file, from line `first` on."""

    first: int
    data: bytes
    max_line_bytes: int

    def rows(self) -> Iterator[tuple[int, dict[str, Any] | Rejected]]:
        """Parse line by line; blank lines are no rows."""
        number = self.first - 1
        for line in io.BytesIO(self.data):
            number += 1
            try:
                if len(line) > self.max_line_bytes:
                    raise Rejected("line_too_long", f"{len(line)} bytes")
                value = parse_object(line)
                check_duplicate_keys(line, value)
            except Rejected as rejected:
                if line.strip():
                    yield number, rejected
            else:
                yield number, value


class OversizedLine(NamedTuple):
    """A line that was skipped without ever being held."""

    first: int
    size: int

    def rows(self) -> Iterator[tuple[int, dict[str, Any] | Rejected]]:
        """One reject."""
        yield self.first, Rejected("line_too_long", f"{self.size} bytes")


def blocks(path: Path, max_line_bytes: int) -> Iterator[LineBlock | OversizedLine]:
    """Yield the lines of a file in blocks of about BLOCK_BYTES."""
    with storage.open_regular(path) as file:
        yield from blocks_of(file, max_line_bytes)


def blocks_of(file: BinaryIO, max_line_bytes: int) -> Iterator[LineBlock | OversizedLine]:
    """Yield the lines of an open stream in blocks; a byte order mark at its start is dropped."""
    line, rest = 1, file.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
    while piece := file.read(BLOCK_BYTES):
        data = rest + piece
        end = data.rfind(b"\n") + 1
        if end == 0 and len(data) > max_line_bytes:
            size, rest = _skip_line(file, len(data))
            yield OversizedLine(line, size)
            line += 1
            continue
        if end:
            yield LineBlock(line, data[:end], max_line_bytes)
            line += data.count(b"\n", 0, end)
        rest = data[end:]
    if rest:
        yield LineBlock(line, rest, max_line_bytes)


def _skip_line(file: BinaryIO, size: int) -> tuple[int, bytes]:
    """Read on to the end of the line; return its size and what follows it in the last piece."""
    while piece := file.read(BLOCK_BYTES):
        end = piece.find(b"\n")
        if end >= 0:
            return size + end, piece[end + 1 :]
        size += len(piece)
    return size, b""
