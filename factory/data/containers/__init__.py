"""Containers: how rows lie in a file. One module each, all with `pieces(path, max_line_bytes)`.

A piece is the work of one worker: cheap to describe, cheap to send. Its blocks are small enough for
the processor's cache; their `rows()` do the parsing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from factory.data.containers import json_array, jsonl
from factory.data.parse import Parsed


class Block(Protocol):
    """Some rows in memory."""

    def rows(self) -> Iterator[Parsed]:
        """Yield every row with its number in the file, in order."""

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
}
SUFFIXES = tuple(_READERS)


def pieces(path: Path, max_line_bytes: int) -> Iterator[Piece]:
    """Yield the pieces of any readable file, in order."""
    return _READERS[path.suffix.lower()](path, max_line_bytes)
