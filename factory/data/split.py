"""Leak-free splits: rows that share user text or group form a cluster, clusters move as one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from factory.data.index import shared

_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def clusters(rows: int, keys: Iterable[np.ndarray]) -> np.ndarray:
    """Return for each row the smallest row number it is connected to.

    Two rows are connected if any of the `keys` columns holds the same non-zero value for both.
    """
    parent = np.arange(rows, dtype=np.int32)
    for column in keys:
        among = shared(column)
        order = among[np.argsort(column[among], kind="stable")]
        linked = column[order][1:] == column[order][:-1]
        for pair in zip(order[:-1][linked].tolist(), order[1:][linked].tolist(), strict=True):
            join(parent, *pair)
    return settled(parent)


def join(parent: np.ndarray, first: int, second: int) -> None:
    """Make two rows members of one cluster."""
    first, second = _root(parent, first), _root(parent, second)
    parent[max(first, second)] = min(first, second)


def _root(parent: np.ndarray, row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = int(parent[row])
    return row


def settled(parent: np.ndarray) -> np.ndarray:
    """Point every row straight at the first row of its cluster."""
    while True:
        roots = parent[parent]
        if np.array_equal(roots, parent):
            return parent
        parent = roots


def assign(
    roots: np.ndarray,
    names: np.ndarray,
    strata: np.ndarray,
    ratios: Sequence[float],
    seed: int,
) -> np.ndarray:
    """Return the split number of every row.

    roots:  the cluster of each row, as `clusters` returns it
    names:  a 64-bit key of each row that does not depend on where the row stands
    strata: the stratum of each row; shares are met in each stratum as well as overall
    ratios: the share of each split; one that is above zero gets at least a row if there are enough

    Clusters of several rows are placed first, then single rows fill each split to its quota:
    shares are exact to a row wherever there are single rows enough. The same rows and seed give
    the same splits, in whatever order the rows come.
    """
    rows_of = np.bincount(roots, minlength=len(roots))
    heads = np.flatnonzero(rows_of)
    sizes = rows_of[heads]
    lowest = np.full(len(roots), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(lowest, roots, names)
    order = _ordered(shuffled(lowest[heads], seed), strata[heads])
    alone = sizes[order] == 1
    several, single = order[~alone], order[alone]
    quotas = np.array([quota(len(roots), ratio) for ratio in ratios])
    found = np.zeros(len(heads), dtype=np.int8)
    share = quotas * int(sizes[several].sum()) // max(len(roots), 1)
    found[several] = _in_turn(sizes[several], strata[heads][several], share)
    placed = np.bincount(found[several], weights=sizes[several], minlength=len(ratios))
    left = np.maximum(quotas - placed.astype(np.int64), 0)
    found[single] = _in_turn(sizes[single], strata[heads][single], left)
    by_row = np.zeros(len(roots), dtype=np.int8)
    by_row[heads] = found
    return by_row[roots]


def _ordered(keys: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """The order by stratum, then key."""
    one_stratum = not len(strata) or strata.min() == strata.max()
    return np.argsort(keys) if one_stratum else np.lexsort((keys, strata))


def _in_turn(sizes: np.ndarray, strata: np.ndarray, quotas: np.ndarray) -> np.ndarray:
    """The split of each cluster: in every stratum first test, then val, then train.

    Rounding the cumulative share, not each stratum's own, keeps the overall shares exact.
    """
    found = np.zeros(len(sizes), dtype=np.int8)
    if not len(sizes):
        return found
    ends = np.cumsum(sizes)
    starts, rows = ends - sizes, int(ends[-1])
    firsts = np.flatnonzero(np.r_[True, strata[1:] != strata[:-1]])
    begins = starts[firsts]
    stops = np.r_[begins[1:], rows]
    offset = begins.copy()
    for split in (2, 1):
        total = min(int(quotas[split]), rows)
        take = stops * total // rows - begins * total // rows
        inside = np.searchsorted(starts, [offset, offset + take]).T
        for first, stop in inside[take > 0].tolist():
            found[first:stop] = split
        offset += take
    return found


def quota(rows: int, ratio: float) -> int:
    """How many of `rows` rows a split of `ratio` gets: never none if it asks for any."""
    return max(1, round(rows * ratio)) if ratio > 0 and rows > 2 else 0


def shuffled(keys: np.ndarray, seed: int) -> np.ndarray:
    """Keys scrambled with the seed (the SplitMix64 finaliser, Steele et al. 2014)."""
    gamma, first, second = (np.uint64(constant) for constant in _MIX)
    with np.errstate(over="ignore"):
        value = keys + gamma * np.uint64(seed + 1)
        value = (value ^ (value >> np.uint64(30))) * first
        value = (value ^ (value >> np.uint64(27))) * second
        return value ^ (value >> np.uint64(31))


def leaks(keys: np.ndarray, splits: np.ndarray) -> np.ndarray:
    """Return the val and test rows whose non-zero key also occurs in an earlier split."""
    rows = shared(keys)
    if not len(rows):
        return rows
    order = rows[np.lexsort((splits[rows], keys[rows]))]
    ordered, placed = keys[order], splits[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    first = np.repeat(placed[starts], np.diff(np.r_[starts, len(order)]))
    return np.sort(order[placed != first])
