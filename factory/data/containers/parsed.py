"""Rows that are parsed as soon as they are read, with no JSON text behind them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from factory.data.parse import Parsed
from factory.data.rejection import Rejected

BATCH_ROWS = 256
Row = dict[str, Any] | Rejected


class ParsedRows(NamedTuple):
    """Rows with their numbers in the file; a piece of one block."""

    numbered: list[tuple[int, Row]]

    def rows(self) -> Iterator[Parsed]:
        """The rows."""
        for number, value in self.numbered:
            yield number, b"", value

    def text(self) -> bytes:
        """Nothing."""
        return b""

    def lines(self) -> tuple[int, bytes]:
        """They are not."""
        return 0, b""

    def place(self) -> bytes:
        """A row's number, as it is."""
        return b":%d"

    def line(self, number: int) -> int:
        """The number itself."""
        return number

    def blocks(self) -> Iterator[ParsedRows]:
        """Itself."""
        yield self


def in_batches(numbered: Iterator[tuple[int, Row]]) -> Iterator[ParsedRows]:
    """Cut rows into pieces of at most BATCH_ROWS."""
    while batch := list(islice(numbered, BATCH_ROWS)):
        yield ParsedRows(batch)
