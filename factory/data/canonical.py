"""From a parsed object and its format to one canonical row, with everything the index needs.

The path of a plain row (roles and texts only) is kept short: it decides the speed of the stage.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from xxhash import xxh3_64_intdigest, xxh3_128_intdigest

from factory.data import toolcalls
from factory.data.conversation import Message, Row, tool_calls
from factory.data.formats import Reader
from factory.data.normalise import SEPARATOR, normalise
from factory.data.rejection import Rejected, excerpt

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {
    "train": 0,
    "training": 0,
    "val": 1,
    "valid": 1,
    "validation": 1,
    "dev": 1,
    "eval": 1,
    "test": 2,
    "testing": 2,
}
NO_SPLIT = -1


class Shape(NamedTuple):
    """What a sequence of roles says about a row; rows share a few of them."""

    roles: tuple[str, ...]
    users: itemgetter[Any]
    several_users: bool


class Prepared(NamedTuple):
    """A canonical row and what the index keeps of it."""

    row: Row
    shape: Shape
    content_key: int
    user_key: int
    group_key: int
    id_key: int
    calls: tuple[str, ...]
    rich: bool
    split: int
    findings: tuple[str, ...]


def prepare(raw: dict[str, Any], read: Reader, source: str, line: int) -> Prepared:
    """Return the canonical form of `raw`; raise Rejected if it has none."""
    messages, raw_tools = read(raw)
    shape = shape_of(",".join([message["role"] for message in messages]))
    texts = [message["content"] for message in messages]
    if not all(map(str.strip, texts)):
        messages, shape, texts = _without_empty(messages)
    row: Row = {"conversations": messages}  # type: ignore[typeddict-item]
    tools = toolcalls.read_tools(raw_tools) if raw_tools else []
    if tools:
        row["tools"] = tools
    split, group_key, id_key = _add_fields(row, raw, source, line)
    material = ",".join(shape.roles) + SEPARATOR + normalise(SEPARATOR.join(texts))
    calls: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    rich = bool(tools) or any(map(_is_rich, messages))
    if rich:
        calls = tuple(call["name"] for call in tool_calls(row))
        findings = _findings(calls, tools)
        material += SEPARATOR + _beyond_text(messages, tools)
    users = shape.users(texts)
    user_text = SEPARATOR.join(users) if shape.several_users else users
    return Prepared(
        row,
        shape,
        xxh3_128_intdigest(material.encode()),
        xxh3_64_intdigest(normalise(user_text).encode()),
        group_key,
        id_key,
        calls,
        rich,
        split,
        findings,
    )


@lru_cache(maxsize=4096)
def shape_of(roles: str) -> Shape:
    """The shape of a comma-joined sequence of roles; Rejected if the order makes no sense."""
    names = tuple(roles.split(","))
    for position, name in enumerate(names):
        if name == "system" and position > 0:
            raise Rejected("bad_turn_order", f"turn {position + 1} is a system turn")
        if name == "tool" and names[position - 1 : position] not in (("assistant",), ("tool",)):
            raise Rejected("bad_turn_order", f"turn {position + 1} is a tool result without a call")
    users = [position for position, name in enumerate(names) if name == "user"]
    if not users:
        raise Rejected("no_user_turn", roles)
    if "assistant" not in names:
        raise Rejected("no_assistant_turn", roles)
    return Shape(names, itemgetter(*users), len(users) > 1)


def _without_empty(messages: list[Message]) -> tuple[list[Message], Shape, list[str]]:
    """Drop an empty system turn, accept empty text beside calls or as a result, refuse the rest."""
    if messages[0]["role"] == "system" and not messages[0]["content"].strip():
        messages = messages[1:]
    for position, message in enumerate(messages):
        filled = message["content"].strip() or message["role"] == "tool"
        if not filled and not message.get("tool_calls"):
            raise Rejected("empty_turn", f"turn {position + 1} ({message['role']})")
    shape = shape_of(",".join([message["role"] for message in messages]))
    return messages, shape, [message["content"] for message in messages]


def _is_rich(message: Message) -> bool:
    return len(message) > 2


def _beyond_text(messages: list[Message], tools: list[dict[str, Any]]) -> str:
    """What distinguishes two rows of equal roles and texts: calls, reasoning, declared tools."""
    beyond = [
        {name: value for name, value in message.items() if name not in ("role", "content")}
        for message in messages
    ]
    return orjson.dumps([beyond, tools], option=orjson.OPT_SORT_KEYS).decode()


def _findings(calls: tuple[str, ...], tools: list[dict[str, Any]]) -> tuple[str, ...]:
    """Codes of what is odd about a row's calls without making it useless."""
    if not calls:
        return ()
    if not tools:
        return ("calls_without_tools",)
    declared = {tool["function"]["name"] for tool in tools}
    return () if declared.issuperset(calls) else ("undeclared_tool",)


def _add_fields(row: Row, raw: dict[str, Any], source: str, line: int) -> tuple[int, int, int]:
    """Set id, source, group and tags; return the split asked for and the keys of group and id."""
    given = raw.get("id")
    row["id"] = f"{source}:{line}" if given is None else _word(given, "id")
    row["source"] = source
    group_key = 0
    group = raw.get("group")
    if group is not None:
        row["group"] = _word(group, "group")
        group_key = xxh3_64_intdigest(row["group"].encode()) or 1
    tags = raw.get("tags")
    if tags is not None:
        row["tags"] = _tags(tags)
    id_key = 0 if given is None else xxh3_64_intdigest(row["id"].encode()) or 1
    return _split(raw.get("split")), group_key, id_key


def _word(value: Any, field: str) -> str:
    """A name given as text or number."""
    if type(value) not in (str, int) or value == "":
        raise Rejected("bad_field", f"{field}: {excerpt(value)}")
    return str(value)


def _tags(value: Any) -> dict[str, str]:
    if type(value) is not dict or not all(type(v) is str for v in value.values()):
        raise Rejected("bad_field", f"tags: {excerpt(value)} (an object of texts)")
    return value


def _split(value: Any) -> int:
    if value is None:
        return NO_SPLIT
    number = SPLIT_NAMES.get(value.lower()) if type(value) is str else None
    if number is None:
        raise Rejected("unknown_split", excerpt(value))
    return number
