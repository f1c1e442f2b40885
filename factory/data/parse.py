"""One line of JSON to one object, with one pinned policy where parsers disagree.

orjson decides: UTF-8 only, RFC 8259 (no NaN, no Infinity), no lone surrogates, nesting limited;
integers beyond 64 bits become floats. On top: an object that names a key twice is refused,
because every parser silently keeps another one of the two.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from factory.data.rejection import Rejected, excerpt

# Row number, JSON text (empty if the container is not JSON), and the object or why there is none.
Parsed = tuple[int, bytes, "dict[str, Any] | Rejected"]


def parse_object(text: bytes) -> dict[str, Any] | Rejected:
    """Return the object in `text`, or why there is none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _explained(text, error)
    return value if type(value) is dict else Rejected("not_an_object", excerpt(value))


def has_escaped_colon(text: bytes) -> bool:
    """Whether a large JSON text may hold a colon written as an escape."""
    return b"\\" in text and b"\\u003" in text


def check_duplicate_keys(text: bytes, value: dict[str, Any]) -> None:
    """Raise Rejected if an object in `text`, which parsed to `value`, named a key twice.

    A dropped key takes its colon with it, so equal numbers of colons in the text and in the
    serialised value prove that nothing was dropped, unless an escaped colon makes up for one.
    Only texts without that proof are parsed a second time.
    """
    if text.count(b":") == orjson.dumps(value).count(b":") and not has_escaped_colon(text):
        return
    try:
        json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise Rejected("too_deep") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Rejected("duplicate_key", next(repr(n) for n in names if names.count(n) > 1))
    return found


def _explained(line: bytes, error: orjson.JSONDecodeError) -> Rejected:
    """The reason code behind orjson's message."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as fault:
        return Rejected("invalid_utf8", f"byte {fault.start}: 0x{line[fault.start]:02x}")
    text = str(error)
    if "surrogate" in text:
        return Rejected("lone_surrogate", text)
    if "recursion" in text.lower() or "depth" in text.lower():
        return Rejected("too_deep", text)
    return Rejected("invalid_json", text)
