"""Alpaca rows: `{"instruction", "input"?, "output", "system"?, "history"?: [[asked, said]]}`."""

from __future__ import annotations

from typing import Any

from factory.data import prompt
from factory.data.conversation import Message
from factory.data.rejection import Rejected, excerpt

NAME = "alpaca"


def matches(row: dict[str, Any]) -> bool:
    """Whether `row` has an instruction and an output."""
    return "instruction" in row and "output" in row


def read(row: dict[str, Any], template: str = "") -> tuple[list[Message], Any]:
    """Return the canonical turns; the input goes below the instruction, as LLaMA-Factory does.

    A `template` (dataset.prompt_template) says instead how the request reads.
    """
    if not matches(row):
        raise Rejected("wrong_format", f"fields: {excerpt(sorted(row))}")
    messages = request(row, template)
    messages.append(answer(row, "output"))
    return messages, row.get("tools")


def request(row: dict[str, Any], template: str = "") -> list[Message]:
    """What stands before the answer: system text, history, and the request itself."""
    instruction, given = text(row, "instruction"), text(row, "input")
    messages: list[Message] = []
    if system := text(row, "system"):
        messages.append({"role": "system", "content": system})
    for user, assistant in _history(row.get("history")):
        messages.append({"role": "user", "content": user})
        messages.append({"role": "assistant", "content": assistant})
    if template:
        asked = prompt.render(template, instruction, given)
    else:
        asked = "\n".join(part for part in (instruction, given) if part)
    messages.append({"role": "user", "content": asked})
    return messages


def answer(row: dict[str, Any], field: str) -> Message:
    """The one answer of a row, with the thoughts that stand beside it."""
    turn: Message = {"role": "assistant", "content": text(row, field)}
    if thoughts := text(row, "reasoning_content"):
        turn["reasoning_content"] = thoughts
    return turn


def text(row: dict[str, Any], field: str) -> str:
    """The text of an optional field; "" when it is missing or null."""
    value = row.get(field)
    if value is None:
        return ""
    if type(value) is not str:
        raise Rejected("bad_content", f"{field}: {excerpt(value)}")
    return value


def _history(value: Any) -> list[tuple[str, str]]:
    """Earlier turns as pairs of user and assistant text."""
    if not value:
        return []
    if type(value) is not list:
        raise Rejected("bad_content", f"history: {excerpt(value)}")
    for pair in value:
        if type(pair) is not list or len(pair) != 2 or not all(type(t) is str for t in pair):
            raise Rejected("bad_content", f"history: {excerpt(pair)}")
    return [(user, assistant) for user, assistant in value]
