"""From scored turns to metrics."""

import math

import pytest

from factory.scoring import metrics
from factory.scoring.metrics import ScoredTurn
from factory.scoring.tool_calls import CallScore


def turn(row: str, **values: object) -> ScoredTurn:
    defaults: dict[str, object] = {
        "row_id": row,
        "turn": 1,
        "nll": 2.0,
        "tokens": 4,
        "truncated": False,
        "broken": False,
    }
    return ScoredTurn(**{**defaults, **values})  # type: ignore[arg-type]


RIGHT = CallScore(True, True, 2, 0, 0)
WRONG_VALUE = CallScore(False, True, 1, 1, 1)
WRONG_TOOL = CallScore(False, False, 0, 2, 2)


def test_parameters_are_micro_averaged() -> None:
    found = metrics.summarise(
        [turn("a", call=RIGHT), turn("b", call=WRONG_VALUE), turn("c", call=WRONG_TOOL)]
    )
    assert found.exact_match == pytest.approx(1 / 3)
    assert found.tool_accuracy == pytest.approx(2 / 3)
    assert found.parameter_precision == pytest.approx(3 / 6)
    assert found.parameter_recall == pytest.approx(3 / 6)
    assert found.parameter_f1 == pytest.approx(0.5)


def test_loss_is_weighted_by_tokens_and_perplexity_is_its_exponential() -> None:
    found = metrics.summarise([turn("a", nll=1.0, tokens=1), turn("b", nll=1.0, tokens=9)])
    assert found.loss == pytest.approx(0.2)
    assert found.perplexity == pytest.approx(math.exp(0.2))


def test_what_does_not_apply_is_null_and_never_zero() -> None:
    found = metrics.summarise([turn("a", nll=None, text=False)])
    assert (found.exact_match, found.tool_accuracy, found.parameter_f1) == (None, None, None)
    assert (found.loss, found.perplexity) == (None, None)
    assert found.text_match == 0.0


def test_free_text_is_not_counted_as_an_exact_match() -> None:
    found = metrics.summarise([turn("a", call=RIGHT), turn("b", text=False)])
    assert (found.exact_match, found.tool_turns, found.text_turns) == (1.0, 1, 1)


def test_groups_by_tool_and_tag() -> None:
    turns = [
        turn("a", call=RIGHT, tools=("x",), tags={"phrasing": "seen"}),
        turn("b", call=WRONG_TOOL, tools=("x", "y"), tags={"phrasing": "unseen"}),
    ]
    by_tool = metrics.by_tool(turns)
    assert {tool: found.turns for tool, found in by_tool.items()} == {"x": 2, "y": 1}
    by_tag = metrics.by_tag(turns)
    assert by_tag["phrasing"]["seen"].exact_match == 1.0
    assert by_tag["phrasing"]["unseen"].exact_match == 0.0


def test_ratio_has_one_entry_a_row() -> None:
    turns = [turn("a", call=RIGHT), turn("a", call=WRONG_TOOL), turn("b", call=RIGHT)]
    found = metrics.ratio("exact_match", turns, ["b", "a"])
    assert (found.numerator, found.denominator) == ([1.0, 1.0], [1.0, 2.0])
