"""Rows of mere texts, many at a time: this decides the speed of the stage.

What is done for each turn runs in C, over all turns of the rows at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, compress, islice, repeat
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from factory.data.canonical import Profile, shape_of
from factory.data.formats.plain import PlainNames
from factory.data.normalise import SEPARATOR
from factory.data.rejection import Rejected


class Plain(NamedTuple):
    """The rows by column.

    turns:    their turns as canonical JSON
    users:    all that the user said
    profiles: what they have in common
    least:    the fewest bytes of JSON that hold all the turns as they were named in the source
    """

    turns: list[bytes]
    users: list[str]
    profiles: list[Profile]
    least: int


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
        if set(map(len, flat)) != {2} or not all(texts) or any(map(str.isspace, texts)):
            return None
        counts = list(map(len, turns))
        shapes = list(map(_shape, repeat(names), _parted(roles, counts)))
        if names.ours:
            written = list(map(orjson.dumps, turns))
        else:
            rows = _parted(map(orjson.dumps, texts), counts)
            written = list(map(bytes.__mod__, map(_TURNS, shapes), rows))
    except (KeyError, TypeError, Rejected):
        return None
    user_names = {name for name, role in names.roles.items() if role == "user"}
    asked = compress(texts, map(user_names.__contains__, roles))
    users = list(map(SEPARATOR.join, _parted(asked, list(map(_USERS, shapes)))))
    least = sum(map(len, written)) - sum(map(_LONGER, shapes))
    return Plain(written, users, list(map(_PROFILE, shapes)), least)


def _parted(items: Iterable[Any], counts: Sequence[int]) -> Iterable[tuple[Any, ...]]:
    """The items of each row, of which `counts` says how many there are."""
    each, first = iter(items), counts[0]
    if counts.count(first) == len(counts):
        return zip(*repeat(each, first), strict=True)
    return (tuple(islice(each, count)) for count in counts)


@lru_cache(maxsize=4096)
def _shape(names: PlainNames, roles: tuple[str, ...]) -> _Shape:
    """The shape of turns of mere texts; KeyError or Rejected if they are none."""
    canonical = [names.roles[role] for role in roles]
    turns = b",".join(b'{"role":"%b","content":%%b}' % role.encode() for role in canonical)
    named = ",".join(f'{{"{names.role}":"{role}","{names.text}":%b}}' for role in roles)
    profile = shape_of(",".join(canonical)).plain
    return _Shape(b"[%b]" % turns, canonical.count("user"), profile, len(turns) - len(named))
