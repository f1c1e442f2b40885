"""Proof that written rows are canonical: read back and checked against the type of a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from factory import storage
from factory.data import conversation

CHECKED_ROWS = 5000


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


def violations(paths: Sequence[Path]) -> tuple[int, int]:
    """Return how many rows of the written files were checked, and how many are not canonical.

    The first CHECKED_ROWS of each file: the code that wrote the others is the same.
    """
    checks = [canonical(line) for line in _first_lines(paths)]
    return len(checks), checks.count(False)


def _first_lines(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        with storage.open_regular(path) as file:
            yield from islice(file, CHECKED_ROWS)
