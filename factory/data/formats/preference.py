"""Preference rows: `{"prompt", "chosen", "rejected"}`; the chosen side is what is learned.

`chosen` is a text, one turn, or a whole conversation; `prompt` a text or the turns before it.
"""

from __future__ import annotations

from typing import Any

from factory.data.conversation import Message
from factory.data.formats import alpaca, openai, sharegpt
from factory.data.rejection import Rejected, excerpt

NAME = "preference"

_PROMPTS = ("prompt", "question", "messages", "conversations")


def matches(row: dict[str, Any]) -> bool:
    """Whether `row` has a chosen and a rejected side."""
    return "chosen" in row and "rejected" in row


def read(row: dict[str, Any]) -> tuple[list[Message], Any]:
    """Return the canonical turns of the prompt and the chosen side."""
    if "chosen" not in row:
        raise Rejected("wrong_format", f"fields: {excerpt(sorted(row))}")
    chosen = _turns(row["chosen"], "assistant")
    if chosen[-1]["role"] != "assistant":
        raise Rejected("bad_turn_order", f"chosen ends with a {chosen[-1]['role']} turn")
    before = _asked(row)
    messages = chosen if chosen[: len(before)] == before else before + chosen
    if (system := alpaca.text(row, "system")) and messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system}, *messages]
    return messages, row.get("tools")


def _asked(row: dict[str, Any]) -> list[Message]:
    """The turns before the answer; none if the chosen side holds them."""
    asked = next((row[name] for name in _PROMPTS if name in row), None)
    if asked:
        return _turns(asked, "user")
    return alpaca.request(row) if "instruction" in row else []


def _turns(value: Any, role: str) -> list[Message]:
    """The turns of one side."""
    if type(value) is str:
        return [{"role": "user" if role == "user" else "assistant", "content": value}]
    turns = value if type(value) is list else [value]
    form = sharegpt if turns and type(turns[0]) is dict and "from" in turns[0] else openai
    return form.read({"conversations": turns})[0]
