"""Plain-text answers."""

import pytest

from factory.errors import ConfigError
from factory.scoring import text

GSM8K = text.compile_answer(r"####\s*(\S+)")


def test_normalise_ignores_whitespace_and_unicode_form() -> None:
    assert text.normalise("  cafe\u0301\n is  open ") == "café is open"


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("so 48/2 = 24\n#### 72", "72"),
        ("#### 1,234,567", "1234567"),
        ("#### 3\nno, #### 4", "4"),
        ("no answer", None),
    ],
)
def test_answer_is_the_last_match(said: str, answer: str | None) -> None:
    assert GSM8K is not None
    assert text.answer(GSM8K, said) == answer


@pytest.mark.parametrize("pattern", ["(", "no group"])
def test_a_wrong_pattern_names_its_field(pattern: str) -> None:
    with pytest.raises(ConfigError) as raised:
        text.compile_answer(pattern)
    assert raised.value.where == "evaluation.answer_pattern"


@pytest.mark.parametrize(
    "answer", ["2", "<think>One and one.</think>2", "One and one.\n</think>2", "<think></think>2"]
)
def test_what_is_said_stands_behind_the_thoughts(answer: str) -> None:
    assert text.said(answer) == "2"
