"""From a parsed object and its format to the parts of a canonical row.

Rows of mere texts have a shorter way, `factory.data.plain`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import orjson
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from factory.data import toolcalls
from factory.data.conversation import Message, tool_calls
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


class Profile(NamedTuple):
    """What many rows of a source have in common: all that reports count, kept once."""

    roles: tuple[str, ...]
    calls: tuple[str, ...]
    rich: bool
    split: int
    findings: tuple[str, ...]


class Shape(NamedTuple):
    """What a sequence of roles says about a row; rows share a few of them."""

    users: itemgetter[Any]
    several_users: bool
    plain: Profile  # of a row with these roles that has texts only and names no split


class Options(NamedTuple):
    """The fields of a row besides its conversation. A key of 0 means that there is none."""

    json: bytes
    id_key: int
    group_key: int
    split: int


NO_OPTIONS = Options(b"", 0, 0, NO_SPLIT)


ROLE = itemgetter("role")
CONTENT = itemgetter("content")


def convert(
    raw: dict[str, Any], read: Reader
) -> tuple[list[Message], list[dict[str, Any]] | None, Shape]:
    """The canonical turns and tools of any row, and its shape; raise Rejected if it has none."""
    messages, raw_tools = read(raw)
    messages, shape = _shaped(messages)
    tools = toolcalls.read_tools(raw_tools) if raw_tools else None
    return messages, tools or None, shape


def profile_of(
    shape: Shape,
    messages: list[Message],
    tools: list[dict[str, Any]] | None,
    split: int,
    findings: tuple[str, ...],
) -> Profile:
    """What reports count of a row."""
    rich = tools is not None or max(map(len, messages)) > 2
    calls = tuple(call["name"] for call in tool_calls(messages)) if rich else ()
    return Profile(shape.plain.roles, calls, rich, split, findings)


def user_text(shape: Shape, texts: Sequence[str]) -> str:
    """All that the user said, out of the texts of all turns."""
    asked = shape.users(texts)
    return SEPARATOR.join(asked) if shape.several_users else asked


def options(raw: dict[str, Any]) -> Options:
    """The id, group, tags and split that a row names; raise Rejected if one is malformed."""
    given, group, tags = raw.get("id"), raw.get("group"), raw.get("tags")
    split = raw.get("split")
    json = b"" if given is None else b',"id":' + _json_word(given, "id")
    if group is not None:
        json += b',"group":' + _json_word(group, "group")
    if tags is not None:
        json += b',"tags":' + orjson.dumps(_tags(tags))
    return Options(
        json,
        0 if given is None else _key(given),
        0 if group is None else _key(group),
        NO_SPLIT if split is None else _split(split),
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
    plain = Profile(names, (), rich=False, split=NO_SPLIT, findings=())
    return Shape(itemgetter(*users), len(users) > 1, plain)


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
    answers = [message for message in messages if message["role"] == "assistant"]
    if answers and all(message.get("train") is False for message in answers):
        raise Rejected("nothing_trained", f"{len(answers)} assistant turns")
    return messages, shape_of(",".join(map(ROLE, messages)))


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
