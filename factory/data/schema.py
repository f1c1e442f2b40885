"""Proof that written rows are canonical: read back and checked against the type of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from factory import storage
from factory.data import conversation

WHOLE_BYTES = 16 << 20
SAMPLE = 5000


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Any]:
    strict = ConfigDict(extra="forbid", strict=True)
    for part in (
        conversation.Function,
        conversation.ToolCall,
        conversation.Message,
        conversation.Row,
    ):
        setattr(part, "__pydantic_config__", strict)  # noqa: B010 - no attribute of the type
    return TypeAdapter(conversation.Row)


def canonical(line: bytes) -> bool:
    """Whether `line` is one canonical row."""
    try:
        _adapter().validate_json(line)
    except ValidationError:
        return False
    return True


def violations(paths: Sequence[Path], seed: int) -> tuple[int, int]:
    """Return how many rows of the written files were checked, and how many are not canonical.

    Files up to WHOLE_BYTES are read back whole. Of a larger one the row behind each of SAMPLE
    places is, drawn with the seed over the whole file: to read all would cost a third of what
    the stage costs without it.
    """
    checks = [canonical(line) for path in paths for line in _lines(path, seed)]
    return len(checks), checks.count(False)


def _lines(path: Path, seed: int) -> Iterator[bytes]:
    with storage.open_regular(path) as file:
        size = path.stat().st_size
        if size <= WHOLE_BYTES:
            yield from file
            return
        yield file.readline()
        done = file.tell()
        for place in sorted(Random(seed).choices(range(size), k=SAMPLE)):
            if place < done:
                continue  # in a row that was read already
            file.seek(place)
            file.readline()
            if line := file.readline():
                yield line
            done = file.tell()
