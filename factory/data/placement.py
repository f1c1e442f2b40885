"""Which split every row goes to: as predefined, or seeded and leak-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from factory.artifacts import Decision
from factory.data.canonical import NO_SPLIT, SPLITS
from factory.data.split import assign, clusters, leaks
from factory.data.spool import SourceProfile

TRAIN = 0


class Placement(NamedTuple):
    """The split of every row, the leaks found between them, and how it was decided."""

    splits: np.ndarray
    leakage: dict[str, int]
    decision: Decision


def place(
    index: np.ndarray,
    asked: np.ndarray,
    profiles: Sequence[SourceProfile],
    ratios: Sequence[float],
    seed: int,
) -> Placement:
    """Place the rows of `index` (those that are kept); `asked` is their predefined split."""
    roots = clusters([index["user"], index["group"]])
    strata = _strata(profiles)[index["profile"]]
    missing = [s for s in range(len(SPLITS)) if ratios[s] > 0 and not np.any(asked == s)]
    if np.all(asked == NO_SPLIT):
        splits = assign(roots, index["content"][:, 0], strata, ratios, seed)
        shares = "/".join(f"{ratio:.0%}" for ratio in ratios)
        decision = Decision(value="seeded", reason=f"{shares} with seed {seed}: no row names one")
    else:
        splits = np.where(asked == NO_SPLIT, TRAIN, asked).astype(np.int8)
        _carve(splits, roots, index, strata, [s for s in missing if s != TRAIN], ratios, seed)
        decision = _predefined_decision(asked, missing)
    leakage = {
        "content": leaks(index["content"][:, 0], splits),
        "user_text": leaks(index["user"], splits),
        "group": leaks(index["group"], splits),
    }
    return Placement(splits, leakage, decision)


def _strata(profiles: Sequence[SourceProfile]) -> np.ndarray:
    """A number for each profile; profiles of one source that call the same tools share it."""
    numbers: dict[tuple[int, tuple[str, ...]], int] = {}
    found = [
        numbers.setdefault((p.source, tuple(sorted(set(p.profile.calls)))), len(numbers))
        for p in profiles
    ]
    return np.array(found or [0], dtype=np.int32)


def _carve(
    splits: np.ndarray,
    roots: np.ndarray,
    index: np.ndarray,
    strata: np.ndarray,
    missing: list[int],
    ratios: Sequence[float],
    seed: int,
) -> None:
    """Move a share of train to each missing split, whole clusters that touch no other split."""
    if not missing:
        return
    elsewhere = np.unique(roots[splits != TRAIN])
    pool = np.flatnonzero((splits == TRAIN) & ~np.isin(roots, elsewhere))
    if not len(pool):
        return
    shares = [ratios[s] if s in missing else 0.0 for s in range(len(SPLITS))]
    _, local = np.unique(roots[pool], return_inverse=True)
    firsts = np.zeros(len(pool), dtype=np.int64)
    heads = np.full(local.max() + 1, len(pool), dtype=np.int64)
    np.minimum.at(heads, local, np.arange(len(pool)))
    firsts[:] = heads[local]
    splits[pool] = assign(firsts, index["content"][:, 0][pool], strata[pool], shares, seed)


def _predefined_decision(asked: np.ndarray, missing: list[int]) -> Decision:
    counts = ", ".join(f"{name} {np.count_nonzero(asked == s)}" for s, name in enumerate(SPLITS))
    carved = [SPLITS[s] for s in missing if s != TRAIN]
    rest = f"; {' and '.join(carved)} carved out of train" if carved else ""
    return Decision(
        value="predefined", reason=f"rows or file names say which split they are: {counts}{rest}"
    )
