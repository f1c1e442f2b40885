"""The largest clusters of duplicates, for people to look at: are they what they are taken for?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson

from factory.data.rows import Rows, Values
from factory.data.spool import Spool

LARGEST = 5
SHOWN = 3
EXCERPT = 160


class Member(NamedTuple):
    """One row of a cluster: its file and line, and the beginning of what is said."""

    place: str
    excerpt: str


class Cluster(NamedTuple):
    """Rows that are duplicates of one another; `members` are the first of them."""

    kind: str
    rows: int
    members: list[Member]


def largest(spool: Spool, rows: Rows) -> list[Cluster]:
    """The largest clusters of each kind, with the first rows of each."""
    found = []
    for kind, pairs in (
        ("exact", rows.twins),
        ("near", rows.near),
        ("semantic", rows.semantic),
    ):
        for members, size in _clusters(pairs):
            lines = spool.pick(np.array(members))
            shown = [_member(rows, *pair) for pair in zip(members, lines, strict=True)]
            found.append(Cluster(kind, size, shown))
    return found


def _clusters(pairs: Values) -> list[tuple[list[int], int]]:
    """The first rows, in order, and the size of the largest clusters. A twin is an earlier row."""
    rows, roots = pairs
    while len(rows):  # a twin may have a twin: follow all at once
        place = np.minimum(np.searchsorted(rows, roots), len(rows) - 1)
        linked = rows[place] == roots
        if not np.any(linked):
            break
        roots = np.where(linked, roots[place], roots)
    names, sizes = np.unique(roots, return_counts=True)
    largest = np.lexsort((names, -sizes))[:LARGEST]
    return [
        ([int(names[n]), *rows[roots == names[n]][: SHOWN - 1].tolist()], int(sizes[n]) + 1)
        for n in largest
    ]


def _member(rows: Rows, row: int, line: bytes) -> Member:
    said = " / ".join(
        " ".join(message["content"].split())
        for message in orjson.loads(line)["conversations"]
        if message["role"] != "system"
    )
    excerpt = said if len(said) <= EXCERPT else said[: EXCERPT - 1] + "…"
    return Member("{}:{}".format(*rows.place(row)), excerpt)
