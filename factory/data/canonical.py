"""From a parsed object and its format to one canonical row, with everything the index needs.

The path of a plain row (roles and texts only) is kept short: it decides the speed of the stage.
"""

from __future__ import annotations

from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from xxhash import xxh3_64_digest, xxh3_64_intdigest, xxh3_128_digest

from factory.data import toolcalls
from factory.data.conversation import Message, tool_calls
from factory.data.formats import Reader, openai
from factory.data.normalise import SEPARATOR, fold, normalise
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


class Profile(NamedTuple):
    """What many rows of a source have in common: all that reports count, kept once."""

    roles: tuple[str, ...]
    calls: tuple[str, ...]
    rich: bool
    split: int
    findings: tuple[str, ...]


class Prepared(NamedTuple):
    """A canonical row as bytes, and what the index keeps of it.

    core:      the conversation and its tools, without the closing brace
    rest:      the other fields and the end of the line
    untouched: whether the turns are the raw row's own
    """

    core: bytes
    rest: bytes
    untouched: bool
    content_key: bytes
    user_key: bytes
    group_key: int
    id_key: int
    profile: Profile


def prepare(raw: dict[str, Any], read: Reader, source: bytes, number: int) -> Prepared:
    """Return the canonical form of `raw`; raise Rejected if it has none.

    `source` is the name of the file as a JSON string; `number` is the row's line in it.
    """
    messages: Any = raw.get("messages")
    shape = _plain_shape(messages) if messages and read is openai.read else None
    untouched = shape is not None and not raw.get("tools")
    row: dict[str, Any] = {"conversations": messages}
    if shape is None or not untouched:
        messages, tools = read(raw)
        messages, shape = _shaped(messages)
        row = {"conversations": messages}
        if tools and (declared := toolcalls.read_tools(tools)):
            row["tools"] = declared
    core = orjson.dumps(row)[:-1]
    asked = shape.users(messages)
    text = SEPARATOR.join(map(_CONTENT, asked)) if shape.several_users else asked["content"]
    given = raw.get("id")
    name = b'%b:%d"' % (source[:-1], number) if given is None else _json_word(given, "id")
    rest = b',"id":%b,"source":%b' % (name, source)
    split, group_key, rest = _options(raw, rest) if len(raw) > 1 else (NO_SPLIT, 0, rest)
    return Prepared(
        core,
        rest + b"}\n",
        untouched,
        xxh3_128_digest(core),
        xxh3_64_digest(fold(text)),
        group_key,
        0 if given is None else _key(given),
        Profile(shape.roles, (), False, split, ()) if untouched else _profile(shape, row, split),
    )


_ROLE = itemgetter("role")
_CONTENT = itemgetter("content")


def _plain_shape(messages: Any) -> Shape | None:
    """The shape of turns that are canonical as they are; None sends them the long way.

    Everything here runs in C: this is the price of every row of the commonest kind.
    """
    try:
        shape = _shape_of_texts(",".join(map(_ROLE, messages)))
        if shape is None or max(map(len, messages)) > 2:
            return None
        return shape if all(map(str.strip, map(_CONTENT, messages))) else None
    except (KeyError, TypeError):
        return None


@lru_cache(maxsize=4096)
def _shape_of_texts(roles: str) -> Shape | None:
    """The shape of a sequence of canonical roles without tool turns."""
    return shape_of(roles) if _TEXT_ROLES.issuperset(roles.split(",")) else None


_TEXT_ROLES = frozenset(("system", "user", "assistant"))


def _profile(shape: Shape, row: dict[str, Any], split: int) -> Profile:
    messages, tools = row["conversations"], row.get("tools")
    rich = tools is not None or max(map(len, messages)) > 2
    calls = tuple(call["name"] for call in tool_calls(messages)) if rich else ()
    return Profile(shape.roles, calls, rich, split, _findings(calls, tools))


def _options(raw: dict[str, Any], rest: bytes) -> tuple[int, int, bytes]:
    """The split asked for, the key of the group, and `rest` with group and tags added."""
    split, group, tags = raw.get("split"), raw.get("group"), raw.get("tags")
    if group is not None:
        rest += b',"group":' + _json_word(group, "group")
    if tags is not None:
        rest += b',"tags":' + orjson.dumps(_tags(tags))
    return (
        NO_SPLIT if split is None else _split(split),
        0 if group is None else _key(group),
        rest,
    )


def _key(word: Any) -> int:
    """A 64-bit key of a group or an id, never zero: zero means that there is none."""
    return xxh3_64_intdigest(str(word).encode()) or 1


def normalised_key(line: bytes) -> bytes:
    """A key that two canonical lines share if their content, as normalised, is the same."""
    row = orjson.loads(line)
    messages = row["conversations"]
    texts = [normalise(message.pop("content")) for message in messages]
    content = [texts, messages, row.get("tools")]
    return xxh3_128_digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


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


def _shaped(messages: list[Message]) -> tuple[list[Message], Shape]:
    """Turns and their shape, without an empty system turn.

    Empty text is fine beside calls and as a tool's result, and a reject elsewhere.
    """
    if messages[0]["role"] == "system" and not messages[0]["content"].strip():
        messages = messages[1:]
    for position, message in enumerate(messages):
        filled = message["content"].strip() or message["role"] == "tool"
        if not filled and not message.get("tool_calls"):
            raise Rejected("empty_turn", f"turn {position + 1} ({message['role']})")
    return messages, shape_of(",".join(map(_ROLE, messages)))


def _findings(calls: tuple[str, ...], tools: list[dict[str, Any]] | None) -> tuple[str, ...]:
    """Codes of what is odd about a row's calls without making it useless."""
    if not calls:
        return ()
    if not tools:
        return ("calls_without_tools",)
    declared = {tool["function"]["name"] for tool in tools}
    return () if declared.issuperset(calls) else ("undeclared_tool",)


def _json_word(value: Any, field: str) -> bytes:
    """A name given as text or number, as a JSON string."""
    if type(value) not in (str, int) or value == "":
        raise Rejected("bad_field", f"{field}: {excerpt(value)}")
    return orjson.dumps(str(value))


def _tags(value: Any) -> dict[str, str]:
    if type(value) is not dict or not all(type(v) is str for v in value.values()):
        raise Rejected("bad_field", f"tags: {excerpt(value)} (an object of texts)")
    return value


def _split(value: Any) -> int:
    number = SPLIT_NAMES.get(value.lower()) if type(value) is str else None
    if number is None:
        raise Rejected("unknown_split", excerpt(value))
    return number
