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

_COLONS_APART = (b'" ', b'"\t', b'"\r', b'"\n')


def parse_object(line: bytes) -> dict[str, Any]:
    """Return the object on `line`; raise Rejected for anything else."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _explain(line, error) from None
    if type(value) is not dict:
        raise Rejected("not_an_object", excerpt(value))
    return value


def check_duplicate_keys(line: bytes, value: dict[str, Any]) -> None:
    """Raise Rejected if an object in `line`, which parsed to `value`, named a key twice.

    A dropped key leaves one `":` fewer in the serialised value than in the line. Only lines
    where that count differs, or is no proof because of unusual spacing, are parsed a second time.
    """
    if line.count(b'":') == orjson.dumps(value).count(b'":') and not _spaced(line):
        return
    try:
        json.loads(line, object_pairs_hook=_unique)
    except RecursionError:
        raise Rejected("too_deep") from None


def _spaced(line: bytes) -> bool:
    return any(gap in line for gap in _COLONS_APART)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Rejected("duplicate_key", next(repr(n) for n in names if names.count(n) > 1))
    return found


def _explain(line: bytes, error: orjson.JSONDecodeError) -> Rejected:
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
