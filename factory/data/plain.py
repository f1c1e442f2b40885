"""Rows of mere texts, many at a time: this decides the speed of the stage.

What is done for each turn runs in C, over all turns of the rows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, compress, islice, repeat
from operator import attrgetter, itemgetter
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import orjson

from factory.data.canonical import Profile, shape_of
from factory.data.formats.plain import PlainNames
from factory.data.normalise import SEPARATOR
from factory.data.rejection import Rejected

MOST_SHAPES = 4096
GLANCE = 4096  # bytes; lines that use escapes where they need not mostly do so early


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


def tight(lines: bytes, names: PlainNames) -> Plain | None:
    """What `columns` returns, straight from JSON lines that hold nothing but such rows.

    None for any other text, too, and for lines that are longer than they had to be. So no line is
    blank, and none names a key twice.
    """
    if not lines.startswith(b'{"%b":[{"' % names.turns.encode()) or b"\\u" in lines[:GLANCE]:
        return None
    try:
        turns = list(map(attrgetter("turns"), _decoder(names).decode_lines(lines)))
        flat = list(chain.from_iterable(turns))
        roles, texts = list(map(attrgetter("role"), flat)), list(map(attrgetter("text"), flat))
        found = _columns(names, roles, texts, list(map(len, turns)))
    except (ValueError, KeyError, TypeError, Rejected):  # the first is msgspec's
        return None
    if found is None:
        return None
    # The decoder takes line ends for space; if each stands where the shortest row would end, there
    # is no other space, and nothing else that is not in the rows.
    stops = np.cumsum(found.least + len(b'{"":}\n%b' % names.turns.encode()))
    ends = np.frombuffer(lines, np.uint8)[stops - 1] if stops[-1] == len(lines) else stops
    return found if np.all(ends == ord("\n")) else None


@lru_cache
def _decoder(names: PlainNames) -> msgspec.json.Decoder[Any]:
    """Reads rows that have the fields of mere texts, and no others."""
    role: Any = Literal[tuple(names.roles)]
    turn: Any = msgspec.defstruct(
        "Turn",
        [("role", role), ("text", str)],
        rename={"role": names.role, "text": names.text},
        forbid_unknown_fields=True,
        gc=False,
    )
    row = msgspec.defstruct(
        "Row",
        [("turns", list[turn])],
        rename={"turns": names.turns},
        forbid_unknown_fields=True,
        gc=False,
    )
    return msgspec.json.Decoder(row)


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
