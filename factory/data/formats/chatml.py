"""ChatML text: `{"text": "<|im_start|>user\\nHi<|im_end|>\\n<|im_start|>assistant\\n..."}`."""

from __future__ import annotations

import re
from typing import Any

from factory.data.conversation import Message
from factory.data.formats.openai import ROLE_NAMES, role_of
from factory.data.rejection import Rejected, excerpt

NAME = "chatml"

_FIELDS = ("text", "messages", "prompt", "conversation")
_TURN = re.compile(r"<\|im_start\|>\s*(\w+)[ \t]*\n(.*?)(?:<\|im_end\|>|\Z)\s*", re.DOTALL)


def _text_of(row: dict[str, Any]) -> str | None:
    texts = (row.get(name) for name in _FIELDS)
    return next((t for t in texts if type(t) is str and "<|im_start|>" in t), None)


def matches(row: dict[str, Any]) -> bool:
    """Whether `row` has a text with ChatML turns."""
    return _text_of(row) is not None


def read(row: dict[str, Any]) -> tuple[list[Message], Any]:
    """Return the canonical turns; anything between them is a reject, not dropped."""
    text = _text_of(row)
    if text is None:
        raise Rejected("wrong_format", f"fields: {excerpt(sorted(row))}")
    messages: list[Message] = []
    place = len(text) - len(text.lstrip())
    while turn := _TURN.match(text, place):
        role, content = turn.groups()
        messages.append({"role": role_of(role, ROLE_NAMES), "content": content})
        place = turn.end()
    if place < len(text) or not messages:
        raise Rejected("bad_message", f"no turn: {excerpt(text[place:])}")
    return messages, row.get("tools")
