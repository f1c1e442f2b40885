"""Shares of a mix are met within a row, without drawing any row twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.config import Mixed
from factory.data.mix import draw, quotas, repeated, repeats


@pytest.mark.parametrize(
    ("available", "weights", "most", "expected"),
    [
        ([1000, 1000], [1, 1], [None, None], [1000, 1000]),
        ([1000, 100], [1, 1], [None, None], [100, 100]),
        ([1000, 1000, 1000], [50, 15, 10], [None] * 3, [1000, 300, 200]),
        ([1000, 50], [1, None], [None, None], [1000, 50]),
        ([1000, 50], [None, None], [10, None], [10, 50]),
        ([1000, 1000], [1, 3], [None, 300], [100, 300]),
        ([0, 10], [1, 1], [None, None], [0, 0]),
    ],
)
def test_quotas(available: list, weights: list, most: list, expected: list) -> None:
    assert quotas(available, weights, most) == expected


SOURCES = st.lists(st.tuples(st.integers(1, 500), st.floats(0.01, 100)), min_size=1, max_size=6)


@given(SOURCES)
def test_every_share_is_met_within_a_row(sources: list[tuple[int, float]]) -> None:
    available, weights = [n for n, _ in sources], [w for _, w in sources]
    found = quotas(available, weights, [None] * len(sources))
    assert all(count <= there for count, there in zip(found, available, strict=True))
    total = sum(found)
    for count, weight in zip(found, weights, strict=True):
        assert abs(count - total * weight / sum(weights)) <= 1.000001


def test_the_draw_depends_on_the_rows_not_on_their_order() -> None:
    names = np.random.default_rng(0).integers(1, 2**63, 100).astype(np.uint64)
    order = np.random.default_rng(1).permutation(100)
    straight, shuffled = draw(names, 30, seed=5), draw(names[order], 30, seed=5)
    assert set(names[straight]) == set(names[order][shuffled])
    assert straight.sum() == 30


@pytest.mark.parametrize(
    ("available", "weights", "upsampled", "expected"),
    [
        ([1000, 100], [1, 1], [False, True], [1000, 100]),
        ([1000, 100, 50], [2, 1, 1], [False, False, True], [200, 100, 50]),
        ([1000, 100], [1, 1], [True, True], [1000, 100]),
        ([1000, 900], [2, 1], [False, True], [1000, 500]),
        ([0, 10], [1, 1], [False, True], [0, 0]),
    ],
)
def test_a_source_that_is_up_sampled_does_not_decide_the_total(
    available: list, weights: list, upsampled: list, expected: list
) -> None:
    assert quotas(available, weights, [None] * len(available), upsampled) == expected


def entries(*given: tuple[float | None, bool]) -> list[Mixed]:
    return [Mixed(path=str(n), weight=w, upsample=up) for n, (w, up) in enumerate(given)]


@pytest.mark.parametrize(
    ("given", "in_train", "expected"),
    [
        ([(1, False), (1, True)], [800, 80], [0, 720]),
        ([(3, False), (1, True)], [900, 100], [0, 200]),
        ([(1, True), (3, True)], [800, 80], [0, 2320]),
        ([(1, False), (1, True), (None, False)], [10, 2, 99], [0, 8, 0]),
        ([(1, False), (1, True)], [10, 0], [0, 0]),
        ([(1, False), (1, True)], [10, 12], [0, 0]),
    ],
)
def test_repeats_make_up_for_rows_that_are_missing(
    given: list, in_train: list, expected: list
) -> None:
    assert repeats(entries(*given), in_train) == expected


def test_repeats_are_spread_evenly_by_the_seed() -> None:
    rows = np.array([3, 5, 8])
    names = np.array([11, 7, 9], dtype=np.uint64)
    found = repeated(rows, names, 7, seed=1)
    assert found.values.sum() == 7 and sorted(found.values) == [2, 2, 3]
    assert list(repeated(rows, names, 7, seed=1).values) == list(found.values)
    assert len(repeated(rows, names, 2, seed=1).rows) == 2
