"""Rows of OpenAI messages: `{"messages": [{"role", "content", "tool_calls"?}], "tools"?}`.

Also under `conversations` (the factory's own rows), with the `developer` role, the older
`function_call` field and `function` role, content parts, and LLaMA-Factory's typed parts
(`text`, `reasoning`, `tool_call` with a `value`) and `loss_weight`.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any

from factory.data import toolcalls
from factory.data.conversation import Message, Role, ToolCall
from factory.data.formats.plain import PlainNames
from factory.data.rejection import Rejected, excerpt

NAME = "openai"

ROLE_NAMES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_TRAIN_FLAGS = ("train", "loss", "weight", "loss_weight")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_TEXT_PARTS = ("text", "input_text", "output_text")
_REASONING_PARTS = ("reasoning", "thinking")


def messages_of(row: dict[str, Any]) -> Any:
    """The list of turns, under either of its names."""
    return row["messages"] if "messages" in row else row.get("conversations")


def matches(row: dict[str, Any]) -> bool:
    """Whether `row` holds a list of turns with roles."""
    messages = messages_of(row)
    return type(messages) is list and any(type(m) is dict and "role" in m for m in messages)


def read(row: dict[str, Any]) -> tuple[list[Message], Any]:
    """Return the canonical turns and the raw `tools` of one row."""
    messages = messages_of(row)
    if type(messages) is not list or not messages:
        raise Rejected("no_messages", excerpt(messages))
    if not _is_plain(messages):
        messages = [_turn(message) for message in messages]
    return messages, row.get("tools")


def _is_plain(messages: list[Any]) -> bool:
    """Whether every turn is canonical already: the common case, kept as it is."""
    try:
        return (
            set(map(len, messages)) == _TWO_FIELDS
            and set(map(next, map(iter, messages))) == _ROLE_FIRST
            and _PLAIN_ROLES.keys() >= set(map(_ROLE, messages))
            and set(map(type, map(_CONTENT, messages))) == _TEXT
        )
    except (KeyError, TypeError):
        return False


# Sets over C-level maps: five times faster than a loop.
_ROLE, _CONTENT = itemgetter("role"), itemgetter("content")
_PLAIN_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_TWO_FIELDS, _ROLE_FIRST, _TEXT = {2}, {"role"}, {str}
PLAIN = PlainNames("messages", "role", "content", _PLAIN_ROLES, more=("tools",), ours=True)


def _turn(raw: Any) -> Message:
    """One turn in canonical form."""
    if type(raw) is not dict or "role" not in raw:
        raise Rejected("bad_message", excerpt(raw))
    role = role_of(raw["role"], ROLE_NAMES)
    turn: Message = {"role": role, "content": ""}
    calls = _content(turn, raw.get("content")) + _calls(raw)
    _add_fields(turn, raw)
    if calls:
        if role != "assistant":
            raise Rejected("bad_tool_call", f"in a {role} turn")
        turn["tool_calls"] = calls
    return turn


def role_of(name: Any, names: dict[str, Role]) -> Role:
    """The canonical role for a source's role name."""
    role = names.get(name.lower()) if type(name) is str else None
    if role is None:
        raise Rejected("unknown_role", excerpt(name))
    return role


def _content(turn: Message, content: Any) -> list[ToolCall]:
    """Fill in text and reasoning; return the calls found among the content parts."""
    if type(content) is str:
        turn["content"] = content
        return []
    if content is None:
        return []
    if type(content) is not list:
        raise Rejected("bad_content", excerpt(content))
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[ToolCall] = []
    for part in content:
        kind = part.get("type", "text") if type(part) is dict else "text"
        if kind in _TEXT_PARTS:
            texts.append(_part_text(part, "text", "value"))
        elif kind in _REASONING_PARTS:
            thoughts.append(_part_text(part, "text", "value", kind))
        elif kind == "tool_call":
            calls += toolcalls.read_calls(_part_text(part, "value", "text"))
        else:
            raise Rejected("unsupported_part", excerpt(kind))
    turn["content"] = "".join(texts)
    if thoughts:
        turn["reasoning_content"] = "".join(thoughts)
    return calls


def _part_text(part: Any, *names: str) -> str:
    """The text of one content part, under the first of `names` that it has."""
    if type(part) is str:
        return part
    fields = part if type(part) is dict else {}
    text = next((fields[name] for name in names if name in fields), None)
    if type(text) is not str:
        raise Rejected("bad_content", excerpt(part))
    return text


def _calls(raw: dict[str, Any]) -> list[ToolCall]:
    """The calls of `tool_calls` and of the older `function_call`."""
    calls = toolcalls.read_calls(raw["tool_calls"]) if raw.get("tool_calls") else []
    if raw.get("function_call"):
        calls += toolcalls.read_calls(raw["function_call"])
    return calls


def _add_fields(turn: Message, raw: dict[str, Any]) -> None:
    """Keep what templates and training know besides role and content."""
    for name in ("name", "tool_call_id"):
        value = raw.get(name)
        if value is None:
            continue
        if type(value) is not str:
            raise Rejected("bad_field", f"{name}: {excerpt(value)}")
        turn[name] = value
    if turn["role"] == "assistant":
        carry_over(turn, raw)


def carry_over(turn: Message, raw: dict[str, Any]) -> None:
    """Add the thoughts and the train flag of an assistant's turn, or of the row that holds it."""
    found = next((raw[name] for name in _THOUGHTS if raw.get(name)), None)
    if found is not None:
        if type(found) is not str:
            raise Rejected("bad_field", f"reasoning_content: {excerpt(found)}")
        turn["reasoning_content"] = found
    if not trained(raw):
        turn["train"] = False


def trained(raw: dict[str, Any]) -> bool:
    """Whether a turn's `train`, `loss`, `weight` or `loss_weight` flag leaves it in the loss."""
    for name in _TRAIN_FLAGS:
        flag = raw.get(name)
        if flag is None:
            continue
        if type(flag) not in (bool, int, float) or flag not in (0, 1):
            raise Rejected("bad_field", f"{name}: {excerpt(flag)} (a turn is trained or it is not)")
        return bool(flag)
    return True
