"""Weighted mixing: how many rows of each source are drawn, which, and which are repeated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from factory.artifacts import MixReport
from factory.config import Mixed
from factory.data.rows import Values
from factory.data.split import shuffled


def quotas(
    available: Sequence[int],
    weights: Sequence[float | None],
    most: Sequence[int | None],
    upsampled: Sequence[bool] = (),
) -> list[int]:
    """Return how many rows to draw from each source.

    available: rows that each source has
    weights:   shares asked for, in any unit; None draws the source without regard to the others
    most:      upper limits, None without one
    upsampled: sources that are drawn whole where they are too few: `repeats` makes up for it

    No row is drawn twice: the scarcest source, for its weight, decides how many rows there are in
    all, and the others give their share of that, each within one row. A source that is up-sampled
    never decides it, unless all are: then the largest does.
    """
    repeatable = upsampled or [False] * len(available)
    limits = [n if cap is None else min(n, cap) for n, cap in zip(available, most, strict=True)]
    total_weight = sum(weight for weight in weights if weight is not None)
    totals = {
        place: limits[place] * total_weight / weight
        for place, weight in enumerate(weights)
        if weight is not None
    }
    scarce = [total for place, total in totals.items() if not repeatable[place]]
    total = int(min(scarce)) if scarce else int(max(totals.values(), default=0))
    exact = [0.0 if weight is None else total * weight / total_weight for weight in weights]
    found = [
        limit if weight is None else int(share)
        for limit, weight, share in zip(limits, weights, exact, strict=True)
    ]
    missing = total - sum(found[place] for place in totals)
    by_remainder = sorted(totals, key=lambda place: (found[place] - exact[place], place))
    for place in by_remainder[:missing]:
        found[place] += 1
    return [min(count, limit) for count, limit in zip(found, limits, strict=True)]


def repeats(entries: Sequence[Mixed], in_train: Sequence[int]) -> list[int]:
    """How many train rows each source needs once more, or several times more, for its share.

    in_train: its different train rows. The sources that are not up-sampled set the scale, each
    row of theirs counting once; if all are, the one with the most rows for its weight does.
    """
    weighted = [(entry, n) for entry, n in zip(entries, in_train, strict=True) if entry.weight]
    fixed = [(n, entry.weight or 0) for entry, n in weighted if not entry.upsample]
    if fixed:
        rows_for_weight = sum(n for n, _ in fixed) / sum(weight for _, weight in fixed)
    else:
        rows_for_weight = max((n / (entry.weight or 1) for entry, n in weighted), default=0.0)
    return [
        max(0, round(rows_for_weight * (entry.weight or 0)) - n) if entry.upsample and n else 0
        for entry, n in zip(entries, in_train, strict=True)
    ]


def repeated(rows: np.ndarray, names: np.ndarray, count: int, seed: int) -> Values:
    """Spread `count` repeats over `rows`, evenly; who gets one more is drawn with the seed."""
    each, more = divmod(count, len(rows)) if len(rows) else (0, 0)
    copies = np.full(len(rows), each, dtype=np.int64) + draw(names, more, seed)
    return Values(rows[copies > 0], copies[copies > 0])


def joined(parts: Iterable[Values]) -> Values:
    """The values of several sets of rows, in the order of the rows."""
    rows, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    order = np.argsort(rows)
    return Values(rows[order], values[order])


def report(
    entries: Sequence[Mixed],
    available: Sequence[int],
    counts: Sequence[int],
    in_train: Sequence[int],
    again: Sequence[int],
) -> dict[str, MixReport]:
    """Asked against got, by the name of each source.

    Shares are those of the rows drawn; once rows are repeated, those of the train rows.
    """
    weights = sum(entry.weight or 0 for entry in entries)
    of = [n + more for n, more in zip(in_train, again, strict=True)] if any(again) else counts
    total = sum(of)
    labels = [entry.label for entry in entries]
    return {
        label if labels.count(label) == 1 else f"{label} [{place}]": MixReport(
            asked=None if entry.weight is None else round(entry.weight / weights, 6),
            got=round(of[place] / total, 6) if total else 0.0,
            rows=counts[place],
            available=available[place],
            repeats=again[place],
        )
        for place, (label, entry) in enumerate(zip(labels, entries, strict=True))
    }


def draw(names: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return a mask of `count` rows, drawn with the seed by their keys, not by their order."""
    mask = np.zeros(len(names), dtype=bool)
    mask[np.argsort(shuffled(names, seed), kind="stable")[:count]] = True
    return mask
