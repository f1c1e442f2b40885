"""Comparing two sets of logits, on numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from factory.errors import DataError
from factory.export import parity
from factory.export.report import Parity
from factory.inference.turns import Turn

TURN = Turn("row", 1, "prompt", [5], [0, 1])
# Two positions, two tokens: probabilities (3/4, 1/4) and (1/2, 1/2).
ADAPTER = np.log(np.array([[0.75, 0.25], [0.5, 0.5]], dtype=np.float32))


def compared(found: np.ndarray) -> Parity:
    return parity.summarise([TURN], [ADAPTER], [found], prompts=1, prompts_differ=0)


def test_equal_logits_differ_in_nothing() -> None:
    found = compared(ADAPTER.copy())
    assert (found.max_logit_difference, found.mean_kl_divergence) == (0.0, 0.0)
    assert found.top_token_agreement == 1.0
    assert found.loss == found.adapter_loss == pytest.approx(-(math.log(0.75) + math.log(0.5)) / 2)


def test_probabilities_do_not_depend_on_a_common_shift_of_the_logits() -> None:
    found = compared(ADAPTER + 3.0)
    assert found.max_logit_difference == pytest.approx(3.0)
    assert found.mean_kl_divergence == pytest.approx(0.0, abs=1e-6)


def test_another_distribution_is_measured_in_nats_per_token() -> None:
    other = np.log(np.array([[0.25, 0.75], [0.5, 0.5]], dtype=np.float32))
    found = compared(other)
    divergence = 0.75 * math.log(3) - 0.25 * math.log(3)
    assert found.mean_kl_divergence == pytest.approx(divergence / 2)
    assert found.top_token_agreement == 0.5
    assert found.loss == pytest.approx(-(math.log(0.25) + math.log(0.5)) / 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_missing_and_never_a_number(value: float) -> None:
    spoiled = ADAPTER.copy()
    spoiled[0, 1] = value
    with np.errstate(all="ignore"):
        found = compared(spoiled)
    assert found.max_logit_difference is None
    assert found.top_token_agreement is None


def test_another_vocabulary_is_refused() -> None:
    with pytest.raises(DataError, match="logits for 3 tokens, the adapter for 2"):
        compared(np.zeros((2, 3), dtype=np.float32))
