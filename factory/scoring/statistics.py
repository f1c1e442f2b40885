"""Is the win real? Paired bootstrap over rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from factory.artifacts import Interval


@dataclass(frozen=True)
class Ratio:
    """A metric as a ratio of sums over rows: sum(numerator) / sum(denominator).

    Accuracy has the turns as denominator, loss the tokens, and F1 = 2 TP / (2 TP + FP + FN).
    Both have one entry a row.
    """

    numerator: Sequence[float]
    denominator: Sequence[float]

    def value(self) -> float | None:
        """The metric over all rows; None where nothing was counted."""
        total = float(sum(self.denominator))
        return float(sum(self.numerator)) / total if total else None


def paired_bootstrap(
    tuned: Ratio, base: Ratio, *, confidence: float, samples: int, seed: int
) -> Interval | None:
    """Percentile interval of tuned - base, resampling rows in pairs (Efron & Tibshirani 1993, 13).

    Rows, not turns, are resampled: turns of one conversation are not independent. Returns None
    when a metric is undefined on the rows.
    """
    observed_tuned, observed_base = tuned.value(), base.value()
    rows = len(tuned.numerator)
    if rows != len(base.numerator):
        raise ValueError("a paired comparison needs the same rows on both sides")
    if observed_tuned is None or observed_base is None:
        return None
    generator = np.random.default_rng(seed)
    columns = np.asarray(
        [tuned.numerator, tuned.denominator, base.numerator, base.denominator], dtype=np.float64
    )
    differences = np.concatenate(
        [_resample(columns, generator, block) for block in _blocks(samples, rows)]
    )
    differences = differences[np.isfinite(differences)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(differences, [tail, 1 - tail])
    return Interval(
        mean=observed_tuned - observed_base,
        low=float(low),
        high=float(high),
        confidence=confidence,
        rows=rows,
    )


def _blocks(samples: int, rows: int) -> list[int]:
    """Split the draws so that one block's index matrix stays below 32 MiB."""
    size = max(1, min(samples, (4 << 20) // max(rows, 1)))
    full, rest = divmod(samples, size)
    return [size] * full + ([rest] if rest else [])


def _resample(columns: np.ndarray, generator: np.random.Generator, samples: int) -> np.ndarray:
    rows = columns.shape[1]
    picked = generator.integers(0, rows, size=(samples, rows))
    sums = columns[:, picked].sum(axis=2)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference: np.ndarray = sums[0] / sums[1] - sums[2] / sums[3]
    return difference
