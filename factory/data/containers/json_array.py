"""A `.json` file: one array of rows, read element by element, or JSON lines under that name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from factory.data.containers import jsonl
from factory.data.containers.compressed import opened
from factory.data.parse import Parsed, parse_object
from factory.errors import DataError

READ_BYTES = 1 << 20


class ElementBlock(NamedTuple):
    """Elements of an array from number `first` on, each with the line it starts on."""

    first: int
    elements: list[tuple[int, bytes]]

    def rows(self) -> Iterator[Parsed]:
        """Parse every element as a line of JSON is parsed."""
        for number, (_, text) in enumerate(self.elements, self.first):
            yield number, text, parse_object(text)

    def lines(self) -> tuple[int, bytes]:
        """They are not."""
        return 0, b""

    def place(self) -> bytes:
        """Several elements may share a line, so they are numbered in the array."""
        return b"[%d]"

    def line(self, number: int) -> int:
        """The line on which an element starts."""
        return self.elements[number - self.first][0]

    def text(self) -> bytes:
        """All elements."""
        return b"".join([text for _, text in self.elements])

    def blocks(self) -> Iterator[ElementBlock]:
        """Itself."""
        yield self


def pieces(
    path: Path, max_line_bytes: int
) -> Iterator[ElementBlock | jsonl.FilePiece | jsonl.MemoryPiece]:
    """Yield the elements of an array; a file that starts otherwise is read as lines."""
    with opened(path) as file:
        head = file.read(4096).removeprefix(jsonl.BYTE_ORDER_MARK)
    if head.lstrip()[:1] != b"[":
        yield from jsonl.pieces(path, max_line_bytes)
        return
    with opened(path) as file:
        yield from _in_blocks(elements(file, max_line_bytes, where=str(path)))


def _in_blocks(found: Iterator[tuple[int, bytes]]) -> Iterator[ElementBlock]:
    """Group elements to about the size of a block of lines."""
    group: list[tuple[int, bytes]] = []
    first = size = 0
    for element in found:
        group.append(element)
        size += len(element[1])
        if size >= jsonl.BLOCK_BYTES:
            yield ElementBlock(first, group)
            first, group, size = first + len(group), [], 0
    if group:
        yield ElementBlock(first, group)


# A string (group 1 is empty if the buffer ends inside it) or one of the marks that nest elements.
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[\[\]{},]', re.DOTALL)


def elements(file: BinaryIO, max_bytes: int, *, where: str) -> Iterator[tuple[int, bytes]]:
    """Yield the text of each element of the array in `file` with its line, not yet parsed.

    Only strings and brackets are looked at, so a malformed element is one reject and the next
    one is read. Raises DataError when an element exceeds `max_bytes` or the array does not end.
    """
    buffer = file.read(READ_BYTES).removeprefix(jsonl.BYTE_ORDER_MARK)
    start = buffer.index(b"[") + 1
    line = 1 + buffer.count(b"\n", 0, start)
    while True:
        depth = 0
        for token in _TOKEN.finditer(buffer, start):
            mark = token[0][:1]
            if mark == b'"':
                if not token[1]:
                    break
            elif mark in b"[{":
                depth += 1
            elif depth and mark in b"]}":
                depth -= 1
            elif not depth and mark in b",]}":
                element = buffer[start : token.start()]
                if element.strip():
                    yield _located(element, line)
                line += element.count(b"\n")
                start = token.end()
                if mark != b",":
                    _check_end(buffer[start:], file, where=f"{where}:{line}")
                    return
        buffer, start = buffer[start:], 0
        if len(buffer) > max_bytes:
            raise DataError("element longer than dataset.max_line_bytes", where=f"{where}:{line}")
        piece = file.read(READ_BYTES)
        if not piece:
            raise DataError("the array does not end (cut off?)", where=f"{where}:{line}")
        buffer += piece


def _located(element: bytes, line: int) -> tuple[int, bytes]:
    """An element without the space around it, and the line of its first character."""
    text = element.lstrip()
    return line + element.count(b"\n", 0, len(element) - len(text)), text.rstrip()


def _check_end(rest: bytes, file: BinaryIO, *, where: str) -> None:
    if rest.strip() or file.read(READ_BYTES).strip():
        raise DataError("text after the end of the array", where=where)
