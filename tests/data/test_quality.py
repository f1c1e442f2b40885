"""Each rule finds its fault and leaves good answers alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factory.data import quality
from factory.data.formats import READERS

PROSE = (
    "Memory is read in pages. Each page has a frame behind it, and the table says which one. "
    "When a page has no frame, the processor asks the kernel, which finds one or ends the program. "
    "A cache keeps the last answers of the table, so that most look-ups cost nothing at all. "
    "Switching to another program throws them away, unless they bear the name of its space."
)


def row(*texts: str, **more: Any) -> Any:
    turns = [
        turn
        for text in texts
        for turn in ({"role": "user", "content": "Go on"}, {"role": "assistant", "content": text})
    ]
    return {"conversations": turns, **more}


def score(rule: Callable[[quality.Answers], float], *texts: str, **more: Any) -> float:
    return rule(quality.answers(row(*texts, **more)))


@pytest.mark.parametrize("rule", quality.RULES)
def test_good_prose_loses_no_point(rule: str) -> None:
    assert score(quality.RULES[rule], PROSE) == 1


GOOD = [
    (quality.length, "7"),
    (quality.length, "识别" * 900),
    (quality.repetition, "ha ha ha"),
    (quality.script_mix, "Слово `word` значит слово."),
    (quality.refusal, "I'm sorry to hear that your cat is ill. Keep it warm."),
    (quality.markup, "```python\nif a < b: print('<div>')\n```\nCompare `<b>` and `<i>`."),
    (quality.ending, "- one\n- two\n" * 12 + "- three"),
    (quality.ending, PROSE + "\n\n```c\nint x\n```"),
]


@pytest.mark.parametrize(("rule", "text"), GOOD)
def test_what_looks_odd_and_is_right(rule: Callable[[quality.Answers], float], text: str) -> None:
    assert score(rule, text) == 1


BAD = [
    (quality.length, "?!"),
    (quality.length, "x" * 2000),
    (quality.repetition, "the same again " * 40),
    (quality.repetition, "\n".join(f"{PROSE[:90]}" for _ in range(8))),
    (quality.script_mix, "Мама мыла раму 我们都在这里学习语言 ελληνικά γράμματα שלום עולם كلمة"),
    (quality.refusal, "I'm sorry, but I can't assist with that."),
    (quality.refusal, "As an AI language model, I have no opinions."),
    (quality.refusal, "抱歉，我无法回答这个问题。"),
    (quality.markup, "```python\nprint(1)"),
    (quality.markup, "<div><span>One</div>"),
    (quality.markup, "Itâ€™s broken"),
    (quality.markup, "Right [INST] what"),
    (quality.markup, "Lorem ipsum dolor sit amet"),
    (quality.ending, PROSE[: PROSE.index("finds one or")] + "and"),
    (quality.ending, PROSE[: PROSE.index(" its space")] + " its"),
]


@pytest.mark.parametrize(("rule", "text"), BAD)
def test_a_planted_fault_is_below_the_bar_of_the_presets(
    rule: Callable[[quality.Answers], float], text: str
) -> None:
    assert score(rule, text) < 0.6


def test_the_limits_are_gophers() -> None:
    assert quality.graded(0.2, 0.2) == 1
    assert quality.graded(0.6, 0.2) == pytest.approx(0.5)
    assert quality.graded(1.0, 0.2) == 0


def test_a_call_needs_no_words() -> None:
    call = {"type": "function", "function": {"name": "look", "arguments": {}}}
    found: Any = row("")
    found["conversations"][1]["tool_calls"] = [call]
    assert quality.scores(found) == [1.0] * len(quality.RULES)


def test_declining_is_right_where_tools_are_declared() -> None:
    text = "I'm sorry, but I can't assist with that."
    assert score(quality.refusal, text, tools=[{}]) == 1


def test_only_trained_answers_count() -> None:
    found: Any = row("x" * 2000, PROSE)
    found["conversations"][1]["train"] = False
    assert min(quality.scores(found)) == 1


def test_one_bad_answer_of_four_is_a_quarter() -> None:
    bad = "As an AI language model, I cannot."
    assert score(quality.refusal, PROSE, PROSE, PROSE, bad) == 0.75


def test_real_answers_mostly_pass(real_data: Path) -> None:
    """21 of 999 were below the bar when this was measured: refusals, and answers cut short."""
    rows = json.loads((real_data / "lf_alpaca_en_demo.json").read_text())
    found = [{"conversations": READERS["alpaca"](raw)[0]} for raw in rows if raw["output"].strip()]
    low = sum(min(quality.scores(one)) < 0.6 for one in found)  # type: ignore[arg-type]
    assert 5 <= low <= 30
