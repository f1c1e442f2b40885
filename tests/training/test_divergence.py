"""When a loss counts as diverging: window means against window means."""

from __future__ import annotations

import pytest

from factory.training.templates.training_state import diverging

# The first 30 logged losses of the demo with two steps a log, as it was measured.
DEMO = [
    *(2.192, 2.497, 1.745, 1.302, 0.853, 0.489, 0.694, 0.687, 0.643, 0.293),
    *(0.47, 0.445, 0.382, 0.216, 0.354, 0.427, 0.352, 0.385, 0.176, 0.478),
    *(0.303, 0.407, 0.226, 0.163, 0.162, 0.232, 0.295, 0.288, 0.19, 0.164),
]


@pytest.mark.parametrize("window", [5, 10, 20])
def test_a_training_that_learns_fast_does_not_diverge(window: int) -> None:
    """Against the least single loss it did, at every one of the first steps of the window."""
    seen = range(1, len(DEMO) + 1)
    assert [end for end in seen if diverging(DEMO[:end], window, 3.0)] == []


def test_noise_of_single_batches_is_no_divergence() -> None:
    assert diverging([1.0, 0.1, 1.0, 1.0, 0.9, 1.1, 0.1, 1.0], 4, 3.0) is None


def test_a_loss_that_climbs_diverges() -> None:
    found = diverging([*DEMO, *(2.0 for _ in range(20))], 20, 3.0)
    assert found is not None
    assert found.startswith("the loss diverges: 2 over 20 logged steps, it was 0.3")


def test_nothing_is_said_before_the_window_is_full() -> None:
    assert diverging([0.1, 9.0], 3, 3.0) is None
