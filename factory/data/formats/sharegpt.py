"""ShareGPT rows: `{"conversations": [{"from": "human", "value": "..."}], "system"?, "tools"?}`.

`function_call` turns hold a call (or a list of calls) as JSON text, `observation` turns its result.
Consecutive results and calls stay apart, as they were written.
"""

from __future__ import annotations

from typing import Any

from factory.data import toolcalls
from factory.data.conversation import Message, Role
from factory.data.formats.openai import carry_over, role_of
from factory.data.formats.plain import PlainNames
from factory.data.rejection import Rejected, excerpt

NAME = "sharegpt"

ROLE_NAMES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "observation": "tool",
    "tool": "tool",
    "tool_response": "tool",
    "function_response": "tool",
    "ipython": "tool",
}
_FIELDS = ("conversations", "conversation", "messages")
CALLING = frozenset(("function_call", "tool_call"))


def _turns_of(row: dict[str, Any]) -> Any:
    return next((row[name] for name in _FIELDS if name in row), None)


def matches(row: dict[str, Any]) -> bool:
    """Whether `row` holds a list of turns with a `from`."""
    turns = _turns_of(row)
    return type(turns) is list and any(type(t) is dict and "from" in t for t in turns)


PLAIN = PlainNames(
    "conversations",
    "from",
    "value",
    {"system": "system", "human": "user", "user": "user", "gpt": "assistant"},
    more=("tools", "system"),
)


def read(row: dict[str, Any]) -> tuple[list[Message], Any]:
    """Return the canonical turns and the raw `tools` of one row."""
    turns = _turns_of(row)
    if type(turns) is not list or not turns:
        raise Rejected("no_messages", excerpt(turns))
    messages = [_turn(turn) for turn in turns]
    system = row.get("system")
    if type(system) is str and system.strip() and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return messages, row.get("tools")


def _turn(raw: Any) -> Message:
    try:
        name, value = raw["from"], raw["value"]
    except (TypeError, KeyError, IndexError):
        raise Rejected("bad_message", excerpt(raw)) from None
    role = role_of(name, ROLE_NAMES)
    if name in CALLING:
        calls = toolcalls.read_calls(value)
        return _flagged({"role": role, "content": "", "tool_calls": calls}, raw)
    if type(value) is not str:
        raise Rejected("bad_content", excerpt(value))
    return _flagged({"role": role, "content": value}, raw)


def _flagged(turn: Message, raw: dict[str, Any]) -> Message:
    """Carry over a turn's thoughts and train flag, if it has any."""
    if len(raw) > 2 and turn["role"] == "assistant":
        carry_over(turn, raw)
    return turn
