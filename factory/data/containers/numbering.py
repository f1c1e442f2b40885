"""The number of a piece's first line, which is known once the lines before the piece were counted.

Whoever counts the lines of a piece tells it where the next one starts. One process takes pieces in
their order. Workers, which are handed them in their order, wait for each other: they share a board
on which each number is written once. So no line is read only to be counted.
"""

from __future__ import annotations

import ctypes
import time
from itertools import count
from multiprocessing.context import BaseContext
from typing import TypeAlias

from factory.errors import DataError

UNKNOWN = 0
LINE_BITS = 40  # of what is written; above them is the number of the start that it belongs to
WAIT_SECONDS = 0.0005
Board: TypeAlias = "ctypes.Array[ctypes.c_int64]"
_numbers = count(1)
_boards: list[Board] = []  # in a worker the one that it shares with others


class Start:
    """The first line of a piece. It may be asked for once the piece before has told it."""

    def __init__(self, line: int = UNKNOWN) -> None:
        self._line = line
        self._number = next(_numbers)

    def tell(self, line: int) -> None:
        """Say what it is, or that it stays UNKNOWN."""
        self._line = line

    def line(self) -> int:
        """The number of the line. Raises DataError if it is unknown."""
        if self._line == UNKNOWN:
            raise DataError("a line has no number: the lines before it could not be counted")
        return self._line

    def __reduce__(self) -> tuple[type[Start], tuple[int, int]]:
        """Sent to a worker it becomes a place on the board, unless it is known."""
        return _Shared, (self._number, self._line)


class _Shared(Start):
    def __init__(self, number: int, line: int) -> None:
        self._number, self._line = number, line

    def tell(self, line: int) -> None:
        board = _boards[0]
        board[self._number % len(board)] = self._number << LINE_BITS | line

    def line(self) -> int:
        if self._line == UNKNOWN:
            self._line = self._awaited()
        return super().line()

    def _awaited(self) -> int:
        board = _boards[0]
        place = self._number % len(board)
        while (written := board[place]) >> LINE_BITS != self._number:
            time.sleep(WAIT_SECONDS)
        return written & ((1 << LINE_BITS) - 1)


def board(context: BaseContext, pieces: int) -> Board:
    """Memory for processes of `context` that are at work on at most so many pieces at a time."""
    # Between two of them there may be a start that is known, where another file begins.
    return context.RawArray(ctypes.c_int64, 2 * pieces + 2)


def share(board: Board) -> None:
    """In a worker: pieces that are sent to it start where this board says."""
    _boards[:] = [board]
