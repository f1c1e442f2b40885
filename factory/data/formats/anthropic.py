"""Anthropic messages: content blocks, `tool_use` and `tool_result`, `system` beside the turns.

A `tool_result` lies in a user turn there; here every result is a tool turn of its own, before
what else the user says in that turn.
"""

from __future__ import annotations

from typing import Any

from factory.data import toolcalls
from factory.data.conversation import Message
from factory.data.formats.openai import role_of, trained
from factory.data.rejection import Rejected, excerpt

NAME = "anthropic"

_BLOCKS = frozenset(("tool_use", "tool_result", "thinking", "redacted_thinking"))


def matches(row: dict[str, Any]) -> bool:
    """Whether `row` has messages with Anthropic's own blocks, or a system text beside messages."""
    messages = row.get("messages")
    if type(messages) is not list:
        return False
    return "system" in row or any(_has_blocks(message) for message in messages)


def _has_blocks(message: Any) -> bool:
    content = message.get("content") if type(message) is dict else None
    return type(content) is list and any(
        type(block) is dict and block.get("type") in _BLOCKS for block in content
    )


def read(row: dict[str, Any]) -> tuple[list[Message], Any]:
    """Return the canonical turns and the raw `tools` of one row."""
    messages = row.get("messages")
    if type(messages) is not list or not messages:
        raise Rejected("no_messages", excerpt(messages))
    turns = [turn for message in messages for turn in _turns(message)]
    if row.get("system"):
        turns.insert(0, {"role": "system", "content": _text(row["system"])})
    return turns, row.get("tools")


def _turns(raw: Any) -> list[Message]:
    if type(raw) is not dict or "role" not in raw:
        raise Rejected("bad_message", excerpt(raw))
    role = role_of(raw["role"], {"user": "user", "assistant": "assistant", "system": "system"})
    content = raw.get("content")
    blocks = content if type(content) is list else [{"type": "text", "text": content}]
    turn: Message = {"role": role, "content": ""}
    results: list[Message] = []
    for block in blocks:
        _add_block(turn, results, block)
    if role == "assistant" and not trained(raw):
        turn["train"] = False
    says_something = turn["content"] or "tool_calls" in turn or not results
    return [*results, turn] if says_something else results


def _add_block(turn: Message, results: list[Message], block: Any) -> None:
    """Add one content block to its turn, or to the tool results in it."""
    kind = block.get("type") if type(block) is dict else None
    if kind == "text":
        turn["content"] += _text(block.get("text"))
    elif kind == "thinking":
        turn["reasoning_content"] = turn.get("reasoning_content", "") + _text(block.get("thinking"))
    elif kind == "tool_use":
        turn.setdefault("tool_calls", []).extend(toolcalls.read_calls(block))
    elif kind == "tool_result":
        result: Message = {"role": "tool", "content": _text(block.get("content") or "")}
        if type(block.get("tool_use_id")) is str:
            result["tool_call_id"] = block["tool_use_id"]
        results.append(result)
    else:
        raise Rejected("unsupported_part", excerpt(kind))


def _text(value: Any) -> str:
    """Text given as such or as text blocks."""
    if type(value) is str:
        return value
    if type(value) is list and all(
        type(block) is dict and block.get("type") == "text" and type(block.get("text")) is str
        for block in value
    ):
        return "".join(block["text"] for block in value)
    raise Rejected("bad_content", excerpt(value))
