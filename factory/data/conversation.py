"""The canonical row: what every reader produces and every later stage reads.

    {"conversations": [{"role": "user", "content": "..."},
                       {"role": "assistant", "content": "", "tool_calls": [
                           {"type": "function", "function": {
                               "name": "read_memory", "arguments": {"address": "$7E0010"}}}]}],
     "tools": [{"type": "function", "function": {"name": ..., "parameters": {...}}}],
     "id": "demo-17", "source": "data/raw/demo.jsonl", "group": "...", "tags": {"phrasing": "seen"}}

It is template-ready on purpose: `conversations` and `tools` go to
`tokenizer.apply_chat_template` as they are, so that the standalone training script, which may
not import the factory, needs no conversion and cannot disagree with the evaluation.
Always: `content` is a string, roles are the four below, tool-call arguments are an object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic reads it on every Python

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant", "tool")


class Function(TypedDict):
    """What a tool call calls; `arguments` is always an object."""

    name: str
    arguments: dict[str, Any]


class _ToolCall(TypedDict):
    type: Literal["function"]
    function: Function


class ToolCall(_ToolCall, total=False):
    """One call in an assistant turn; `id` only where the source gave one."""

    id: str


class _Message(TypedDict):
    role: Role
    content: str


class Message(_Message, total=False):
    """One turn. `train: false` keeps an assistant turn out of the loss."""

    tool_calls: list[ToolCall]
    name: str
    tool_call_id: str
    reasoning_content: str
    train: bool


class _Row(TypedDict):
    conversations: list[Message]
    id: str
    source: str


class Row(_Row, total=False):
    """One conversation. `tools` are OpenAI function schemas; `group` never straddles splits."""

    tools: list[dict[str, Any]]
    group: str
    tags: dict[str, str]


def template_messages(row: Row) -> list[Message]:
    """The first argument of `tokenizer.apply_chat_template`."""
    return row["conversations"]


def template_tools(row: Row) -> list[dict[str, Any]] | None:
    """Its `tools` argument; None where the row declares none."""
    return row.get("tools")


def trained_turns(row: Row) -> list[int]:
    """Positions of the turns that carry loss: assistant turns not marked `train: false`."""
    return [
        position
        for position, message in enumerate(row["conversations"])
        if message["role"] == "assistant" and message.get("train", True)
    ]


def tool_calls(messages: list[Message]) -> Iterator[Function]:
    """Every call of every assistant turn, in order."""
    for message in messages:
        for call in message.get("tool_calls", ()):
            yield call["function"]
