"""The largest clusters of duplicates, with their files and lines."""

from __future__ import annotations

import numpy as np

from factory.data.clusters import _clusters
from factory.data.rows import Values


def pairs(**twins: int) -> Values:
    rows = sorted((int(row[1:]), twin) for row, twin in twins.items())
    return Values(np.array([r for r, _ in rows]), np.array([t for _, t in rows]))


def test_a_chain_is_one_cluster_and_the_largest_comes_first() -> None:
    assert _clusters(pairs(r2=1, r4=3, r5=4, r6=5)) == [([3, 4, 5], 4), ([1, 2], 2)]


def test_no_duplicates() -> None:
    assert _clusters(Values(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))) == []
