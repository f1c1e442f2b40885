"""Semantic duplicates: rows that mean almost the same, by the cosine of their embeddings.

The embeddings of a local model2vec model (static: the mean of token vectors; no torch) lie in a
file. They are compared a block against a block, so that memory does not grow with the rows; the
time grows with their square: 100,000 rows are 5 billion cosines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from factory.data.near import text_of
from factory.data.rows import Values
from factory.errors import ConfigError

BATCH_ROWS = 1024
BLOCK_ROWS = 4096  # 64 MiB of cosines at a time
FIELD = "dataset.semantic_dedup.model"


def load(folder: Path) -> Any:
    """The model in a folder; raise ConfigError if there is none, or no library to read it."""
    try:
        from model2vec import StaticModel
    except ImportError:
        raise ConfigError(
            "semantic duplicates need the package model2vec",
            where="dataset.semantic_dedup",
            hint="pip install 'factory[semantic]', or leave dataset.semantic_dedup out",
        ) from None
    missing = [
        name
        for name in ("config.json", "model.safetensors", "tokenizer.json")
        if not (folder / name).is_file()
    ]
    if missing:
        raise ConfigError(
            f"{folder} is no model2vec model: it has no {', '.join(missing)}",
            where=FIELD,
            hint="save one there (StaticModel.save_pretrained), or distil a sentence-transformers "
            "model into one (model2vec.distill)",
        )
    try:
        return StaticModel.from_pretrained(folder, force_download=False)
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise ConfigError(f"the model does not load: {error}", where=FIELD) from None


def duplicates(
    lines: Iterable[tuple[int, bytes]], count: int, model: Any, threshold: float, folder: Path
) -> tuple[Values, np.ndarray]:
    """Return the rows that mean what an earlier one does, with the most similar, and the cosines.

    lines:  `count` canonical lines with their row numbers, in order
    folder: where the embeddings may lie

    A row that is a duplicate stays comparable: a chain of small changes is found link by link. A
    text that the model knows no word of resembles nothing.
    """
    numbers = np.empty(count, dtype=np.int64)
    vectors = _embedded(lines, numbers, model, folder / "embeddings.f32")
    best = np.full(count, -1.0, dtype=np.float32)
    twins = np.zeros(count, dtype=np.int64)
    for first in range(0, count, BLOCK_ROWS):
        block = np.asarray(vectors[first : first + BLOCK_ROWS])
        rows = slice(first, first + len(block))
        for start in range(0, first + 1, BLOCK_ROWS):
            cosines = block @ np.asarray(vectors[start : start + BLOCK_ROWS]).T
            if start == first:  # only what is earlier
                cosines[np.triu_indices(len(block))] = -1
            highest = cosines.argmax(axis=1)
            values = cosines[np.arange(len(block)), highest]
            better = values > best[rows]
            best[rows][better] = values[better]
            twins[rows][better] = start + highest[better]
    found = np.flatnonzero(best >= threshold)
    return Values(numbers[found], numbers[twins[found]]), best[found]


def _embedded(
    lines: Iterable[tuple[int, bytes]], numbers: np.ndarray, model: Any, path: Path
) -> np.ndarray:
    """Write the embeddings, each of length 1 or 0, to a file; fill in the row numbers."""
    vectors: np.ndarray | None = None
    done = 0
    for batch in _batches(lines):
        texts = [text_of(line) for _, line in batch]
        found = np.asarray(model.encode(texts, use_multiprocessing=False), dtype=np.float32)
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        found = np.divide(found, lengths, out=np.zeros_like(found), where=lengths > 0)
        if vectors is None:
            shape = (len(numbers), found.shape[1])
            vectors = np.memmap(path, np.float32, "w+", shape=shape)
        vectors[done : done + len(batch)] = found
        numbers[done : done + len(batch)] = [number for number, _ in batch]
        done += len(batch)
    return np.zeros((0, 1), dtype=np.float32) if vectors is None else vectors


def _batches(lines: Iterable[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    pairs = iter(lines)
    while batch := list(islice(pairs, BATCH_ROWS)):
        yield batch
