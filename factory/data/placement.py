"""Which split every row goes to: as predefined, or seeded and leak-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from factory.artifacts import Decision
from factory.data.canonical import NO_SPLIT, SPLITS
from factory.data.rows import KEPT, Rows, Values
from factory.data.split import assign, clusters, join, leaks, settled
from factory.data.spool import SourceProfile

TRAIN = 0


class Placement(NamedTuple):
    """The leaks found between the splits, and how they were made."""

    leakage: dict[str, int]
    decision: Decision


def place(rows: Rows, ratios: Sequence[float], seed: int) -> Placement:
    """Give every row that is still kept its split."""
    kept = np.flatnonzero(rows.fate == KEPT)
    asked = rows.asked()[kept]
    roots = clusters(len(kept), (rows.index.column(name)[kept] for name in ("user", "group")))
    near, semantic = _among(kept, rows.near), _among(kept, rows.semantic)
    for first, second in (near, semantic):
        for pair in zip(first, second, strict=True):
            join(roots, *pair)
    roots = settled(roots)
    names = rows.index.column("content")[kept]
    strata = _strata(rows.profiles)[rows.index.column("profile")[kept]]
    if np.all(asked == NO_SPLIT):
        splits = assign(roots, names, strata, ratios, seed)
        shares = "/".join(f"{ratio:.0%}" for ratio in ratios)
        decision = Decision(value="seeded", reason=f"{shares} with seed {seed}: no row names one")
    else:
        absent = [s for s in range(len(SPLITS)) if ratios[s] > 0 and not np.any(asked == s)]
        carved = [s for s in absent if s != TRAIN]
        splits = np.where(asked == NO_SPLIT, TRAIN, asked).astype(np.int8)
        if carved:
            shares_of_train = [ratios[s] if s in carved else 0.0 for s in range(len(SPLITS))]
            _carve(splits, roots, names, strata, shares_of_train, seed)
        decision = _predefined(asked, carved)
    del roots, names, strata
    rows.fate[kept] = splits
    leakage = {
        kind: len(leaks(rows.index.column(column)[kept], splits))
        for kind, column in (("content", "content"), ("user_text", "user"), ("group", "group"))
    }
    for kind, (first, second) in (("near_duplicate", near), ("semantic_duplicate", semantic)):
        leakage[kind] = int(np.count_nonzero(splits[first] != splits[second]))
    return Placement(leakage, decision)


def _among(kept: np.ndarray, near: Values) -> tuple[list[int], list[int]]:
    """Pairs of duplicates that are both kept, by their positions in `kept`."""
    both = np.isin(near.rows, kept) & np.isin(near.values, kept)
    first, second = (np.searchsorted(kept, side[both]).tolist() for side in near)
    return first, second


def _strata(profiles: Sequence[SourceProfile]) -> np.ndarray:
    """A number for each profile; profiles of one source that call the same tools share it."""
    kinds = [(p.source, tuple(sorted(set(p.profile.calls)))) for p in profiles]
    numbers: dict[tuple[int, tuple[str, ...]], int] = {}
    return np.array([numbers.setdefault(kind, len(numbers)) for kind in kinds], dtype=np.int32)


def _carve(
    splits: np.ndarray,
    roots: np.ndarray,
    names: np.ndarray,
    strata: np.ndarray,
    ratios: Sequence[float],
    seed: int,
) -> None:
    """Move shares of train to other splits: whole clusters that touch no other split already."""
    elsewhere = np.unique(roots[splits != TRAIN])
    pool = np.flatnonzero((splits == TRAIN) & ~np.isin(roots, elsewhere))
    if len(pool):
        # A cluster's root is its first row, which is in the pool if any of its rows is.
        local = np.searchsorted(pool, roots[pool])
        splits[pool] = assign(local, names[pool], strata[pool], ratios, seed)


def _predefined(asked: np.ndarray, carved: Sequence[int]) -> Decision:
    counts = ", ".join(f"{name} {np.count_nonzero(asked == s)}" for s, name in enumerate(SPLITS))
    names = " and ".join(SPLITS[s] for s in carved)
    rest = f"; {names} carved out of train" if carved else ""
    return Decision(
        value="predefined", reason=f"rows or file names say which split they are: {counts}{rest}"
    )
