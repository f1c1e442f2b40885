"""Containers: how rows lie in a file. One module each, all with `pieces(path, max_line_bytes)`.

A piece is the work of one worker: cheap to describe, cheap to send. Its blocks are small enough for
the processor's cache; their `rows()` do the parsing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from factory.data.containers import compressed, json_array, jsonl, table, text
from factory.data.parse import Parsed
from factory.errors import DataError


class Block(Protocol):
    """Some rows in memory."""

    def rows(self) -> Iterator[Parsed]:
        """Yield every row with its number in the file, in order."""

    def lines(self) -> tuple[int, bytes]:
        """The rows as JSON lines with the number of the first; empty if they are not that."""

    def place(self) -> bytes:
        """How the place of a row is written behind its file: a pattern for its number."""

    def line(self, number: int) -> int:
        """The line on which row `number` starts."""

    def text(self) -> bytes:
        """The JSON text that the rows are parsed from; empty if the container is not JSON."""


class Piece(Protocol):
    """A part of a file."""

    def blocks(self) -> Iterator[Block]:
        """Read the part, block by block."""


_READERS: dict[str, Callable[[Path, int], Iterator[Piece]]] = {
    ".jsonl": jsonl.pieces,
    ".ndjson": jsonl.pieces,
    ".json": json_array.pieces,
    ".csv": table.separated,
    ".tsv": table.separated,
    ".txt": text.pieces,
    ".parquet": table.columnar,
    ".arrow": table.columnar,
}
SUFFIXES = (*_READERS, *compressed.SUFFIXES)
_WHOLE_FILE_ONLY = (".parquet", ".arrow")  # compressed inside already, read from their end


def reader_of(path: Path) -> Callable[[Path, int], Iterator[Piece]] | None:
    """What reads files with the suffix of `path`, also behind `.gz` and `.zst`; None if nothing."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] in compressed.SUFFIXES:
        inner = suffixes[0] if len(suffixes) > 1 else ""
        return None if inner in _WHOLE_FILE_ONLY else _READERS.get(inner)
    return _READERS.get(suffixes[-1]) if suffixes else None


def pieces(path: Path, max_line_bytes: int) -> Iterator[Piece]:
    """Yield the pieces of any readable file, in order."""
    reader = reader_of(path)
    if reader is None:
        raise DataError("not a kind of file that can be read", where=str(path))
    return reader(path, max_line_bytes)
