"""`.txt` files: ChatML conversations, or one row a line.

A file that begins with a ChatML turn holds conversations: one ends where a blank line stands
between two turns, or where a system turn follows. Rows are numbered by the line they start on, and
have one field, `text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from factory.data.containers.compressed import opened
from factory.data.containers.parsed import ParsedRows, Row, in_batches
from factory.data.rejection import Rejected

START, END, SYSTEM = b"<|im_start|>", b"<|im_end|>", b"<|im_start|>system"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
Line = tuple[int, bytes]


def pieces(path: Path, max_line_bytes: int) -> Iterator[ParsedRows]:
    """Yield the rows of a file in blocks; blank lines are none."""
    with opened(path) as file:
        numbered = _lines(file, max_line_bytes)
        first = next((line for line in numbered if line[1].strip()), None)
        if first is None:
            return
        rest = _chained(first, numbered)
        found = _conversations(rest) if first[1].startswith(START) else rest
        rows = ((n, _row(text, max_line_bytes)) for n, text in found if text.strip())
        yield from in_batches(rows)


def _chained(first: Line, rest: Iterator[Line]) -> Iterator[Line]:
    yield first
    yield from rest


def _lines(file: BinaryIO, limit: int) -> Iterator[Line]:
    """Numbered lines, of which no more than `limit` bytes and one are kept."""
    number = 0
    while line := file.readline(limit + 1):
        number += 1
        rest = line
        while len(rest) > limit and not rest.endswith(b"\n"):
            rest = file.readline(limit + 1)
        yield number, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def _conversations(lines: Iterable[Line]) -> Iterator[Line]:
    """The lines of each conversation as one text, with the number of its first line."""
    held: list[bytes] = []
    first, ended, blank = 0, False, False
    for number, line in lines:
        said = line.strip()
        if held and ended and said.startswith(START) and (blank or said.startswith(SYSTEM)):
            yield first, b"".join(held)
            held = []
        if not held:
            first = number
        held.append(line)
        blank = not said
        ended = said.endswith(END) if said else ended
    if held:
        yield first, b"".join(held)


def _row(text: bytes, limit: int) -> Row:
    if len(text) > limit:
        return Rejected("line_too_long", f"more than {limit} bytes")
    try:
        return {"text": text.decode("utf-8").rstrip("\r\n")}
    except UnicodeDecodeError as error:
        return Rejected("invalid_utf8", f"byte {error.start}")
