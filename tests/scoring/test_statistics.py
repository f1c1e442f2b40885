"""The paired bootstrap."""

import numpy as np
import pytest

from factory.scoring.statistics import Ratio, paired_bootstrap

SETTINGS = {"confidence": 0.95, "samples": 4000, "seed": 1}


def accuracy(outcomes: list[float]) -> Ratio:
    return Ratio(outcomes, [1.0] * len(outcomes))


def test_interval_of_a_paired_mean_matches_the_normal_approximation() -> None:
    generator = np.random.default_rng(0)
    base = generator.random(400)
    tuned = base + generator.normal(0.1, 0.2, 400)
    found = paired_bootstrap(accuracy(list(tuned)), accuracy(list(base)), **SETTINGS)
    assert found is not None
    half_width = 1.96 * float(np.std(tuned - base)) / 20
    assert found.mean == pytest.approx(float(np.mean(tuned - base)))
    assert found.high - found.low == pytest.approx(2 * half_width, rel=0.1)


def test_equal_sides_have_no_improvement() -> None:
    side = accuracy([0.0, 1.0] * 30)
    found = paired_bootstrap(side, side, **SETTINGS)
    assert found is not None
    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)


def test_pairing_matters() -> None:
    """A constant gain is certain however much the rows differ among themselves."""
    base = [float(value) for value in range(50)]
    found = paired_bootstrap(accuracy([value + 1 for value in base]), accuracy(base), **SETTINGS)
    assert found is not None
    assert found.low == pytest.approx(1.0)


def test_a_metric_that_was_never_counted_has_no_interval() -> None:
    assert paired_bootstrap(Ratio([0.0], [0.0]), accuracy([1.0]), **SETTINGS) is None


def test_different_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="same rows"):
        paired_bootstrap(accuracy([1.0, 0.0]), accuracy([1.0]), **SETTINGS)


def test_the_seed_decides_the_interval() -> None:
    tuned, base = accuracy([1.0, 0.0, 1.0, 1.0] * 10), accuracy([0.0, 0.0, 1.0, 0.0] * 10)
    first = paired_bootstrap(tuned, base, **SETTINGS)
    assert first == paired_bootstrap(tuned, base, **SETTINGS)
