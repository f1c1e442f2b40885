"""JSON lines: cut at line ends without parsing; no line longer than the cap is ever in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from factory import storage
from factory.data.bytecount import count_byte
from factory.data.containers import compressed
from factory.data.containers.parsed import ParsedRows
from factory.data.parse import Parsed, explain, not_an_object
from factory.data.rejection import Rejected

PIECE_BYTES = 4 << 20
# Small enough for the second-level cache, and below the size from which glibc maps fresh pages
# for every allocation: blocks eight times as large make the whole stage a fifth slower.
BLOCK_BYTES = 128 << 10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineBlock(NamedTuple):
    """Whole lines in memory, from line `first` on."""

    first: int
    data: bytes
    max_line_bytes: int

    def rows(self) -> Iterator[Parsed]:
        """Parse line by line; blank lines are no rows."""
        number = self.first - 1
        for line in io.BytesIO(self.data):
            number += 1
            if len(line) > self.max_line_bytes:
                yield number, line, Rejected("line_too_long", f"{len(line)} bytes")
                continue
            try:
                value = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                if line.strip():
                    yield number, line, explain(line, error)
            else:
                yield number, line, value if type(value) is dict else not_an_object(value)

    def text(self) -> bytes:
        """All lines."""
        return self.data

    def place(self) -> bytes:
        """Rows are numbered by line."""
        return b":%d"

    def line(self, number: int) -> int:
        """The number itself."""
        return number


class FilePiece(NamedTuple):
    """Whole lines in a file, from line `first` on, not yet read."""

    path: Path
    offset: int
    size: int
    first: int
    max_line_bytes: int

    def blocks(self) -> Iterator[LineBlock]:
        """Read the piece in blocks of about BLOCK_BYTES that end at line ends."""
        line, rest, left = self.first, b"", self.size
        with storage.open_regular(self.path) as file:
            file.seek(self.offset)
            while left:
                data = rest + file.read(min(BLOCK_BYTES, left))
                left = max(0, left - (len(data) - len(rest)))
                end = data.rfind(b"\n") + 1 if left else len(data)
                block, rest = data[:end], data[end:]
                if block:
                    yield LineBlock(line, block, self.max_line_bytes)
                    line += count_byte(block, b"\n")


class MemoryPiece(NamedTuple):
    """A block that has to be sent along, because its file cannot be read from the middle."""

    block: LineBlock

    def blocks(self) -> Iterator[LineBlock]:
        """The block."""
        yield self.block


def pieces(path: Path, max_line_bytes: int) -> Iterator[FilePiece | MemoryPiece | ParsedRows]:
    """Cut a file into pieces of about PIECE_BYTES; a byte order mark at its start is dropped."""
    if path.suffix.lower() in compressed.SUFFIXES:
        yield from _unpacked(path, max_line_bytes)
        return
    with storage.open_regular(path) as file:
        offset = len(BYTE_ORDER_MARK) if file.read(3) == BYTE_ORDER_MARK else 0
        line = 1
        while True:
            file.seek(offset)
            data = file.read(PIECE_BYTES)
            size = data.rfind(b"\n") + 1 or len(data)
            if size == PIECE_BYTES and not data.endswith(b"\n"):
                size += _to_line_end(file)
            if not size:
                return
            if size > max(max_line_bytes, PIECE_BYTES):
                yield _oversized(line, size)
                line += 1
            else:
                yield FilePiece(path, offset, size, line, max_line_bytes)
                line += count_byte(data[:size], b"\n") or 1
            offset += size


def _unpacked(path: Path, max_line_bytes: int) -> Iterator[MemoryPiece | ParsedRows]:
    """The lines of a compressed file, in blocks."""
    with compressed.opened(path) as file:
        line, rest = 1, file.read(3).removeprefix(BYTE_ORDER_MARK)
        while data := file.read(BLOCK_BYTES):
            data = rest + data
            end = data.rfind(b"\n") + 1
            if not end and len(data) > max_line_bytes:
                size = len(data) + _to_line_end(file)
                yield _oversized(line, size)
                line, rest = line + 1, b""
                continue
            if end:
                yield MemoryPiece(LineBlock(line, data[:end], max_line_bytes))
                line += count_byte(data[:end], b"\n")
            rest = data[end:]
        if rest:
            yield MemoryPiece(LineBlock(line, rest, max_line_bytes))


def _oversized(line: int, size: int) -> ParsedRows:
    """A line that was skipped without ever being held."""
    return ParsedRows([(line, Rejected("line_too_long", f"{size} bytes"))])


def _to_line_end(file: BinaryIO) -> int:
    """Read to the end of the line; return how many bytes that were."""
    size = 0
    while data := file.readline(BLOCK_BYTES):
        size += len(data)
        if data.endswith(b"\n"):
            break
    return size
