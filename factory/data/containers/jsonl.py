"""JSON lines: cut at line ends without parsing; no line longer than the cap is ever in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from factory import storage
from factory.data.bytecount import count_byte
from factory.data.containers import compressed
from factory.data.containers.numbering import UNKNOWN, Start
from factory.data.containers.parsed import ParsedRows
from factory.data.parse import Parsed, parse_object
from factory.data.rejection import Rejected

# Small enough for the second-level cache with all that is made of it, large enough that what is
# done once a block does not count.
BLOCK_BYTES = 256 << 10
PIECE_BYTES = 8 << 20
BLOCKS_PER_PIECE = 16  # of what has to be sent along: some 4 MB
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class LineBlock(NamedTuple):
    """Whole lines in memory, from line `first` on."""

    first: int
    data: bytes
    max_line_bytes: int

    def rows(self) -> Iterator[Parsed]:
        """Parse line by line; blank lines are no rows."""
        lines = io.BytesIO(self.data).readlines()
        try:
            values = list(map(orjson.loads, lines))
        except orjson.JSONDecodeError:
            values = []
        if set(map(type, values)) == {dict} and max(map(len, lines)) <= self.max_line_bytes:
            return zip(count(self.first), lines, values, strict=False)
        return self._rows_by_themselves(lines)

    def _rows_by_themselves(self, lines: list[bytes]) -> Iterator[Parsed]:
        """What `rows` yields if it is not mere objects."""
        for number, line in enumerate(lines, self.first):
            if len(line) > self.max_line_bytes:
                yield number, line, Rejected("line_too_long", f"{len(line)} bytes")
            elif line.strip():
                yield number, line, parse_object(line)

    def lines(self) -> tuple[int, bytes]:
        """All lines, unless there may be one that is too long."""
        return self.first, self.data if len(self.data) <= self.max_line_bytes else b""

    def text(self) -> bytes:
        """All lines."""
        return self.data

    def place(self) -> bytes:
        """Rows are numbered by line."""
        return b":%d"

    def line(self, number: int) -> int:
        """The number itself."""
        return number


class Cut(NamedTuple):
    """What is read of a file as one block: whole lines, or one line of any length.

    `data` begins with it, or is empty if it has to be read again.
    """

    size: int
    lines: int
    data: bytes


class FilePiece(NamedTuple):
    """Whole lines in a file; `start` says which they are, and `end` is told to the next piece."""

    path: Path
    offset: int
    size: int
    max_line_bytes: int
    start: Start
    end: Start

    def blocks(self) -> Iterator[LineBlock | ParsedRows]:
        """The piece cut by cut; a line that is too long is skipped."""
        line, cuts = self._read()
        offset = self.offset
        for cut in cuts:
            if cut.size > max(self.max_line_bytes, BLOCK_BYTES):
                yield _oversized(line, cut.size)
            else:
                data = cut.data[: cut.size] or _read_anew(self.path, offset, cut.size)
                yield LineBlock(line, data, self.max_line_bytes)
            line += cut.lines
            offset += cut.size

    def _read(self) -> tuple[int, list[Cut]]:
        """The number of the first line, and all cuts; whoever waits for the next number gets it."""
        following = UNKNOWN
        try:
            with storage.open_regular(self.path) as file:
                cuts = list(_cuts(file, self.offset, self.size))
            line = self.start.line()
            following = line + sum(cut.lines for cut in cuts)
        finally:
            self.end.tell(following)
        return line, cuts


class MemoryPiece(NamedTuple):
    """Lines that have to be sent along, because their file cannot be read from the middle."""

    read: list[LineBlock | ParsedRows]

    def blocks(self) -> Iterator[LineBlock | ParsedRows]:
        """The blocks."""
        yield from self.read


def pieces(path: Path, max_line_bytes: int) -> Iterator[FilePiece | MemoryPiece]:
    """Cut a file into pieces, to be read in order; a byte order mark at its start is dropped."""
    if path.suffix.lower() in compressed.SUFFIXES:
        with compressed.opened(path) as packed:
            blocks = _unpacked(packed, max_line_bytes)
            while read := list(islice(blocks, BLOCKS_PER_PIECE)):
                yield MemoryPiece(read)
        return
    with storage.open_regular(path) as file:
        offset = len(BYTE_ORDER_MARK) if file.read(3) == BYTE_ORDER_MARK else 0
        start = Start(1)
        while size := _piece_size(file, offset):
            end = Start()
            yield FilePiece(path, offset, size, max_line_bytes, start, end)
            offset, start = offset + size, end


def _piece_size(file: io.BufferedReader, offset: int) -> int:
    """The bytes of the piece at `offset`: PIECE_BYTES, to the end of their last line."""
    rest = file.seek(0, io.SEEK_END) - offset
    if rest <= PIECE_BYTES:
        return max(0, rest)
    file.seek(offset + PIECE_BYTES)
    return PIECE_BYTES + _to_line_end(file)


def _cuts(file: io.BufferedReader, offset: int, size: int) -> Iterator[Cut]:
    """Cut `size` bytes of a file from `offset` on, by looking for line ends."""
    end = offset + size
    while data := _read(file, offset, min(BLOCK_BYTES, max(0, end - offset))):
        size = data.rfind(b"\n") + 1
        if size:
            cut = Cut(size, count_byte(memoryview(data)[:size], b"\n"), data)
        else:
            cut = Cut(len(data) + _to_line_end(file), 1, b"")
        yield cut
        offset += cut.size


def _read_anew(path: Path, offset: int, size: int) -> bytes:
    with storage.open_regular(path) as file:
        return _read(file, offset, size)


def _read(file: io.BufferedReader, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _unpacked(file: BinaryIO, max_line_bytes: int) -> Iterator[LineBlock | ParsedRows]:
    """The lines of a file that is read from its start."""
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
            yield LineBlock(line, data[:end], max_line_bytes)
            line += count_byte(memoryview(data)[:end], b"\n")
        rest = data[end:]
    if rest:
        yield LineBlock(line, rest, max_line_bytes)


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
