"""Rows of mere texts, many at a time: this decides the speed of the stage.

There are two ways. `straight` goes from JSON lines to canonical ones in one pass of compiled code,
and is for files that hold nothing else. `columns` takes rows that were parsed; what it does for
each turn runs in C, over all turns of the rows at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, compress, islice, repeat
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import orjson

from factory.data.canonical import Profile, shape_of
from factory.data.formats.plain import PlainNames
from factory.data.index import RECORD
from factory.data.normalise import SEPARATOR, fold
from factory.data.rejection import Rejected

_Found = tuple[bytes, bytearray, dict[bytes, int]]
_read: Callable[..., _Found | None] | None
try:
    from factory.data._plain import read as _read
except ImportError:  # installed without a C compiler
    _read = None

MOST_SHAPES = 4096


class Plain(NamedTuple):
    """The rows by column.

    turns:    their turns as canonical JSON
    users:    all that the user said
    profiles: what they have in common
    least:    the fewest bytes of JSON that hold each row's turns as they are named in the source
    """

    turns: list[bytes]
    users: list[str]
    profiles: list[Profile]
    least: np.ndarray


class Frame(NamedTuple):
    """What is in a canonical line before its turns, behind them, and behind its line number."""

    head: bytes
    before: bytes
    after: bytes


class Lines(NamedTuple):
    """Canonical lines with their index records, whose `profile` is a place in `profiles`."""

    lines: bytes
    records: np.ndarray
    profiles: list[Profile]


class _Shape(NamedTuple):
    """What the roles of a row say about it."""

    turns: bytes  # the pattern of its turns
    users: int
    profile: Profile
    longer: int  # by how many bytes its turns are longer than under the names of the source


_TURNS, _USERS, _PROFILE, _LONGER = map(itemgetter, range(4))


def columns(raws: Sequence[dict[str, Any]], names: PlainNames) -> Plain | None:
    """The rows as columns; None if any of them has more than texts, or no canonical form."""
    try:
        turns = [raw[names.turns] for raw in raws]
        flat = list(chain.from_iterable(turns))
        roles = list(map(itemgetter(names.role), flat))
        texts = list(map(itemgetter(names.text), flat))
        if set(map(len, flat)) != {2} or (
            names.ours and set(map(next, map(iter, flat))) != {"role"}
        ):
            return None
        written = list(map(orjson.dumps, turns)) if names.ours else None
        return _columns(names, roles, texts, list(map(len, turns)), written)
    except (KeyError, TypeError, Rejected):
        return None


def straight(data: bytes, first: int, names: PlainNames, frame: Frame) -> Lines | None:
    """The canonical lines of JSON lines that hold nothing but such rows, numbered from `first` on.

    None for any other lines, and where the compiled part of this module is missing.
    """
    if _read is None:
        return None
    found = _read(data, first, *_named(names), frame, fold)
    if found is None:
        return None
    lines, records, shapes = found
    try:
        profiles = [_profile(names, shape) for shape in shapes]
    except Rejected:
        return None
    return Lines(lines, np.frombuffer(records, RECORD), profiles)


@lru_cache
def _named(names: PlainNames) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, bytes, bool], ...]]:
    """The names as the compiled part wants them."""
    keys = tuple(map(orjson.dumps, (names.turns, names.role, names.text)))
    return keys, tuple(
        (orjson.dumps(name), b'{"role":"%b","content":"' % role.encode(), role == "user")
        for name, role in names.roles.items()
    )


def _profile(names: PlainNames, shape: bytes) -> Profile:
    """The profile of the roles with these numbers; Rejected if their order makes no sense."""
    roles = list(names.roles)
    return _shapes(names)[tuple(map(roles.__getitem__, shape))].profile


def _columns(
    names: PlainNames,
    roles: list[str],
    texts: list[str],
    counts: list[int],
    turns: list[bytes] | None = None,
) -> Plain | None:
    """The rows as columns from all turns in a row; `counts` says how many of them each row has.

    `turns` are the rows' turns as JSON, if that is known.
    """
    if not all(texts) or any(map(str.isspace, texts)):
        return None
    shapes = list(map(_shapes(names).__getitem__, _parted(roles, counts)))
    if turns is None:
        rows = _parted(map(orjson.dumps, texts), counts)
        turns = list(map(bytes.__mod__, map(_TURNS, shapes), rows))
    user_names = {name for name, role in names.roles.items() if role == "user"}
    asked = compress(texts, map(user_names.__contains__, roles))
    users = list(map(SEPARATOR.join, _parted(asked, list(map(_USERS, shapes)))))
    least = np.fromiter(map(len, turns), np.int64) - np.fromiter(map(_LONGER, shapes), np.int64)
    return Plain(turns, users, list(map(_PROFILE, shapes)), least)


def _parted(items: Iterable[Any], counts: Sequence[int]) -> Iterable[tuple[Any, ...]]:
    """The items of each row, of which `counts` says how many there are."""
    each, first = iter(items), counts[0]
    if counts.count(first) == len(counts):
        return zip(*repeat(each, first), strict=True)
    return (tuple(islice(each, count)) for count in counts)


class _Shapes(dict[tuple[str, ...], _Shape]):
    """The shapes of rows by their roles as a source names them.

    Asked for a new one it raises KeyError or Rejected if there are no turns of mere texts like it.
    """

    def __init__(self, names: PlainNames) -> None:
        self._names = names

    def __missing__(self, roles: tuple[str, ...]) -> _Shape:
        if len(self) == MOST_SHAPES:
            self.clear()
        self[roles] = _shape(self._names, roles)
        return self[roles]


@lru_cache
def _shapes(names: PlainNames) -> _Shapes:
    return _Shapes(names)


def _shape(names: PlainNames, roles: tuple[str, ...]) -> _Shape:
    """The shape of turns of mere texts; KeyError or Rejected if they are none."""
    canonical = [names.roles[role] for role in roles]
    turns = b",".join(b'{"role":"%b","content":%%b}' % role.encode() for role in canonical)
    named = ",".join(f'{{"{names.role}":"{role}","{names.text}":%b}}' for role in roles)
    profile = shape_of(",".join(canonical)).plain
    return _Shape(b"[%b]" % turns, canonical.count("user"), profile, len(turns) - len(named))
