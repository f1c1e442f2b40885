"""Rows of one question and one answer, under the names that people use for the two."""

from __future__ import annotations

from typing import Any

from factory.data.conversation import Message
from factory.data.formats.alpaca import answer, text
from factory.data.rejection import Rejected, excerpt

NAME = "pairs"

FIELDS = (
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("instruction", "response"),
    ("input", "output"),
)
_SYSTEM_FIELDS = ("system", "system_prompt")


def _pair_of(row: dict[str, Any]) -> tuple[str, str] | None:
    return next((pair for pair in FIELDS if pair[0] in row and pair[1] in row), None)


def matches(row: dict[str, Any]) -> bool:
    """Whether `row` has the fields of one known pair."""
    return _pair_of(row) is not None


def read(row: dict[str, Any]) -> tuple[list[Message], Any]:
    """Return the canonical turns: an optional system text, the question, the answer."""
    pair = _pair_of(row)
    if pair is None:
        raise Rejected("wrong_format", f"fields: {excerpt(sorted(row))}")
    messages: list[Message] = [
        {"role": "system", "content": system}
        for field in _SYSTEM_FIELDS
        if (system := text(row, field))
    ]
    messages.append({"role": "user", "content": text(row, pair[0])})
    messages.append(answer(row, pair[1]))
    return messages, row.get("tools")
