"""Splits: exact shares, no cluster in two of them, the same whatever the order of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from factory.data.split import assign, clusters, leaks, quota

RATIOS = (0.8, 0.1, 0.1)


def keys(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def test_rows_connected_through_either_key_are_one_cluster() -> None:
    user = keys(1, 2, 2, 3, 4)
    group = keys(0, 7, 0, 7, 0)
    assert clusters(5, [user, group]).tolist() == [0, 1, 1, 1, 4]


def test_zero_connects_nothing() -> None:
    assert clusters(3, [keys(0, 0, 0)]).tolist() == [0, 1, 2]


def test_shares_of_single_rows_are_exact() -> None:
    rows = 1000
    names = np.random.default_rng(0).integers(1, 2**63, rows).astype(np.uint64)
    strata = np.repeat(np.arange(100), 10)
    splits = assign(np.arange(rows), names, strata, RATIOS, seed=1)
    assert np.bincount(splits).tolist() == [800, 100, 100]


def test_every_stratum_has_its_share() -> None:
    rows = 1000
    names = np.random.default_rng(0).integers(1, 2**63, rows).astype(np.uint64)
    strata = np.repeat([0, 1], [100, 900])
    splits = assign(np.arange(rows), names, strata, RATIOS, seed=1)
    assert np.bincount(splits[:100]).tolist() == [80, 10, 10]


def test_another_seed_gives_another_split() -> None:
    names = np.random.default_rng(0).integers(1, 2**63, 200).astype(np.uint64)
    first, second = (assign(np.arange(200), names, np.zeros(200), RATIOS, seed=s) for s in (1, 2))
    assert not np.array_equal(first, second)


@given(
    hnp.arrays(np.uint64, st.integers(3, 60), elements=st.integers(1, 30)),
    st.integers(0, 2**32),
    st.randoms(use_true_random=False),
)
def test_no_key_is_in_two_splits(user: np.ndarray, seed: int, random: object) -> None:
    names = np.arange(len(user), dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15 | 1)
    splits = assign(clusters(len(user), [user]), names, np.zeros(len(user)), RATIOS, seed)
    assert leaks(user, splits).tolist() == []


@given(st.integers(3, 200), st.integers(0, 2**32), st.integers(0, 2**32))
def test_order_of_rows_does_not_matter(rows: int, seed: int, shuffle: int) -> None:
    draw = np.random.default_rng(shuffle)
    names = draw.permutation(rows).astype(np.uint64) + np.uint64(1)
    user = (names // np.uint64(3)) + np.uint64(1)
    order = draw.permutation(rows)
    straight = assign(clusters(len(user), [user]), names, np.zeros(rows), RATIOS, seed)
    shuffled = assign(clusters(rows, [user[order]]), names[order], np.zeros(rows), RATIOS, seed)
    assert np.array_equal(straight[order], shuffled)


def test_leaks_counts_later_rows_with_a_key_of_an_earlier_split() -> None:
    assert leaks(keys(1, 1, 2, 3, 3, 0, 0), np.array([0, 2, 1, 1, 1, 0, 2])).tolist() == [1]


def test_a_split_that_is_asked_for_gets_a_row() -> None:
    assert [quota(5, 0.1), quota(5, 0.0), quota(2, 0.1)] == [1, 0, 0]
