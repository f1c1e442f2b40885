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
from factory.data.containers.parsed import ParsedRows
from factory.data.parse import Parsed, parse_object
from factory.data.rejection import Rejected

# Small enough for the second-level cache with all that is made of it, large enough that what is
# done once a block does not count.
BLOCK_BYTES = 256 << 10
BLOCKS_PER_PIECE = 16  # some 4 MB
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
    """Whole lines in a file, from line `first` on; another process that is sent it reads them."""

    path: Path
    offset: int
    first: int
    cuts: list[Cut]
    max_line_bytes: int

    def blocks(self) -> Iterator[LineBlock | ParsedRows]:
        """The piece cut by cut; a line that is too long is skipped."""
        line, offset = self.first, self.offset
        with storage.open_regular(self.path) as file:
            for cut in self.cuts:
                if cut.size > max(self.max_line_bytes, BLOCK_BYTES):
                    yield _oversized(line, cut.size)
                else:
                    data = cut.data[: cut.size] or _read(file, offset, cut.size)
                    yield LineBlock(line, data, self.max_line_bytes)
                line += cut.lines
                offset += cut.size

    def __reduce__(self) -> tuple[type[FilePiece], tuple[object, ...]]:
        """Send it without what it has read: that costs more than to read it again."""
        cuts = [cut._replace(data=b"") for cut in self.cuts]
        return FilePiece, (self.path, self.offset, self.first, cuts, self.max_line_bytes)


class MemoryPiece(NamedTuple):
    """Lines that have to be sent along, because their file cannot be read from the middle."""

    read: list[LineBlock | ParsedRows]

    def blocks(self) -> Iterator[LineBlock | ParsedRows]:
        """The blocks."""
        yield from self.read


def pieces(path: Path, max_line_bytes: int) -> Iterator[FilePiece | MemoryPiece]:
    """Cut a file into pieces; a byte order mark at its start is dropped."""
    if path.suffix.lower() in compressed.SUFFIXES:
        with compressed.opened(path) as packed:
            blocks = _unpacked(packed, max_line_bytes)
            while read := list(islice(blocks, BLOCKS_PER_PIECE)):
                yield MemoryPiece(read)
        return
    with storage.open_regular(path) as file:
        offset = len(BYTE_ORDER_MARK) if file.read(3) == BYTE_ORDER_MARK else 0
        line, cuts = 1, _cuts(file, offset)
        while group := list(islice(cuts, BLOCKS_PER_PIECE)):
            yield FilePiece(path, offset, line, group, max_line_bytes)
            offset += sum(cut.size for cut in group)
            line += sum(cut.lines for cut in group)


def _cuts(file: io.BufferedReader, offset: int) -> Iterator[Cut]:
    """Cut a file from `offset` on, by looking for line ends."""
    while data := _read(file, offset, BLOCK_BYTES):
        size = data.rfind(b"\n") + 1
        if size:
            cut = Cut(size, count_byte(memoryview(data)[:size], b"\n"), data)
        else:
            cut = Cut(len(data) + _to_line_end(file), 1, b"")
        yield cut
        offset += cut.size


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
