"""Weighted mixing: how many rows of each source are drawn, and which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from factory.artifacts import MixReport
from factory.config import Mixed
from factory.data.split import shuffled


def quotas(
    available: Sequence[int], weights: Sequence[float | None], most: Sequence[int | None]
) -> list[int]:
    """Return how many rows to draw from each source.

    available: rows that each source has
    weights:   shares asked for, in any unit; None draws the source without regard to the others
    most:      upper limits, None without one

    No row is drawn twice: the scarcest source, for its weight, decides how many rows there are in
    all, and the others give their share of that, each within one row.
    """
    limits = [n if cap is None else min(n, cap) for n, cap in zip(available, most, strict=True)]
    total_weight = sum(weight for weight in weights if weight is not None)
    totals = [
        limit * total_weight / weight
        for limit, weight in zip(limits, weights, strict=True)
        if weight is not None
    ]
    total = int(min(totals)) if totals else 0
    exact = [0.0 if weight is None else total * weight / total_weight for weight in weights]
    found = [
        limit if weight is None else int(share)
        for limit, weight, share in zip(limits, weights, exact, strict=True)
    ]
    missing = total - sum(n for n, weight in zip(found, weights, strict=True) if weight is not None)
    by_remainder = sorted(
        (place for place, weight in enumerate(weights) if weight is not None),
        key=lambda place: (found[place] - exact[place], place),
    )
    for place in by_remainder[:missing]:
        found[place] = min(found[place] + 1, limits[place])
    return found


def report(
    entries: Sequence[Mixed], available: Sequence[int], counts: Sequence[int]
) -> dict[str, MixReport]:
    """Asked against got, by the path of each source."""
    total_weight = sum(entry.weight or 0 for entry in entries)
    total = sum(counts)
    return {
        entry.label: MixReport(
            asked=None if entry.weight is None else round(entry.weight / total_weight, 6),
            got=round(count / total, 6) if total else 0.0,
            rows=count,
            available=there,
        )
        for entry, there, count in zip(entries, available, counts, strict=True)
    }


def draw(names: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return a mask of `count` rows, drawn with the seed by their keys, not by their order."""
    mask = np.zeros(len(names), dtype=bool)
    mask[np.argsort(shuffled(names, seed), kind="stable")[:count]] = True
    return mask
