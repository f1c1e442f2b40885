"""Rows that are wanted, by what they say of themselves."""

from typing import Any

import pytest

from factory.data.formats import alpaca, openai
from factory.data.rejection import Rejected
from factory.data.selection import EVERYTHING, Selection, selected

ROW = {"instruction": "Add.", "input": "", "output": "3", "quality_score": 0.6, "domain": "asm"}


def test_without_a_selection_the_reader_is_itself() -> None:
    assert selected(openai.read, EVERYTHING) is openai.read
    template = Selection(prompt_template="{instruction}\n{output}")
    assert selected(openai.read, template) is openai.read


def test_the_template_is_for_alpaca_rows() -> None:
    read = selected(alpaca.read, Selection(prompt_template="Task: {instruction}\n{output}"))
    messages, _ = read(ROW)
    assert [message["content"] for message in messages] == ["Task: Add.", "3"]


@pytest.mark.parametrize(
    ("selection", "change", "code"),
    [
        (Selection(min_quality=0.7), {}, "low_quality"),
        (Selection(min_quality=0.7), {"quality_score": "high"}, "bad_field"),
        (Selection(domains=frozenset({"debug"})), {}, "other_domain"),
        (Selection(min_quality=0.6, domains=frozenset({"asm"})), {}, None),
        (Selection(min_quality=0.9), {"quality_score": None}, None),
        (Selection(domains=frozenset({"debug"})), {"domain": None}, None),
    ],
)
def test_rows_below_the_bar_are_rejected(
    selection: Selection, change: dict[str, Any], code: str | None
) -> None:
    read = selected(alpaca.read, selection)
    if code is None:
        assert read({**ROW, **change})
        return
    with pytest.raises(Rejected) as raised:
        read({**ROW, **change})
    assert raised.value.code == code
