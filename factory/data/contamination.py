"""Rows that repeat a benchmark: training on them would make its score worthless."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from xxhash import xxh3_64_intdigest

from factory.data import containers
from factory.data.near import words
from factory.data.rejection import Rejected
from factory.data.rows import Values

GRAM = 13  # words; the length that GPT-3 was decontaminated with (Brown et al. 2020, appendix C)


class Benchmarks:
    """The word 13-grams of benchmark files; a shorter text counts as one gram."""

    def __init__(self) -> None:
        self._files: dict[int, int] = {}

    @classmethod
    def read(cls, paths: list[Path], max_line_bytes: int) -> Benchmarks:
        """Take every text of every row of the files, whatever the fields are called."""
        found = cls()
        for number, path in enumerate(paths):
            for piece in containers.pieces(path, max_line_bytes):
                for block in piece.blocks():
                    for _, _, row in block.rows():
                        if not isinstance(row, Rejected):
                            found._add(row, number)
        return found

    def _add(self, row: dict[str, Any], file: int) -> None:
        for text in _texts(row):
            for gram in _grams(text):
                self._files.setdefault(gram, file)

    def repeated_by(self, lines: Iterable[tuple[int, bytes]]) -> Values:
        """Return the canonical lines that share a gram, with the number of the file they repeat."""
        rows: list[int] = []
        files: list[int] = []
        for row, line in lines:
            texts = (m["content"] for m in orjson.loads(line)["conversations"])
            grams = (gram for text in texts for gram in _grams(text))
            file = next((self._files[gram] for gram in grams if gram in self._files), None)
            if file is not None:
                rows.append(row)
                files.append(file)
        return Values(np.array(rows, dtype=np.int64), np.array(files, dtype=np.int64))


MIN_WORDS = 5  # "Yes." or "What is this?" is said by chance


def _texts(value: Any) -> Iterator[str]:
    if type(value) is str:
        yield value
    elif type(value) in (dict, list):
        for child in value.values() if type(value) is dict else value:
            yield from _texts(child)


def _grams(text: str) -> Iterator[int]:
    """Keys of the 13-grams of a text; of the whole text if it is shorter than that."""
    found = words(text)
    if len(found) < MIN_WORDS:
        return
    for start in range(max(1, len(found) - GRAM + 1)):
        yield xxh3_64_intdigest(" ".join(found[start : start + GRAM]).encode())
