"""Containers: how rows lie in a file. One module each, all with `blocks(path, max_line_bytes)`.

A block is a piece of a file small enough to hold in memory and cheap to send to a worker; its
`rows()` yield `(line number, object or Rejected)` and do the parsing, in the worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from factory.data.containers import json_array, jsonl
from factory.data.rejection import Rejected


class Block(Protocol):
    """A piece of a file."""

    def rows(self) -> Iterator[tuple[int, dict[str, Any] | Rejected]]:
        """Yield every row with its line number, in order."""


_READERS: dict[str, Callable[[Path, int], Iterator[Block]]] = {
    ".jsonl": jsonl.blocks,
    ".ndjson": jsonl.blocks,
    ".json": json_array.blocks,
}
SUFFIXES = tuple(_READERS)


def blocks(path: Path, max_line_bytes: int) -> Iterator[Block]:
    """Yield the blocks of any readable file."""
    return _READERS[path.suffix.lower()](path, max_line_bytes)
