"""Long conversations are cut between turns, and nothing of them is lost unseen."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from factory.data.canonical import shape_of
from factory.data.fit import divided, truncated

ROLES = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def turns(letters: str, words: int = 1) -> list[Any]:
    return [
        {"role": ROLES[letter], "content": " ".join([f"{letter}{place}"] * words)}
        for place, letter in enumerate(letters)
    ]


def letters(messages: list[Any]) -> str:
    return "".join(message["role"][0] if message["role"] != "tool" else "t" for message in messages)


def at_most(words: int) -> Any:
    return lambda messages: sum(len(m["content"].split()) for m in messages) <= words


def test_truncation_keeps_the_longest_beginning_that_ends_with_an_answer() -> None:
    assert letters(truncated(turns("suauau"), at_most(4)) or []) == "sua"
    assert letters(truncated(turns("suauau"), at_most(5)) or []) == "suaua"


def test_a_tool_result_is_not_the_end() -> None:
    assert letters(truncated(turns("uatatua"), at_most(3)) or []) == "ua"


def test_nothing_is_left_when_the_first_answer_does_not_fit() -> None:
    assert truncated(turns("suaua"), at_most(2)) is None


def test_an_answer_that_is_not_trained_is_no_end() -> None:
    messages = turns("uauaua")
    messages[3]["train"] = False
    assert letters(truncated(messages, at_most(4)) or []) == "ua"


def test_every_part_begins_with_the_system_turn_and_a_user_turn() -> None:
    assert [letters(part) for part in divided(turns("suauaua"), at_most(5))] == ["suaua", "sua"]


def test_calls_and_their_results_stay_in_one_part() -> None:
    parts = divided(turns("uatauatta"), at_most(5))
    assert [letters(part) for part in parts] == ["uata", "uatta"]


def test_a_question_without_an_answer_stays_with_what_is_before_it() -> None:
    assert [letters(part) for part in divided(turns("uauau"), at_most(3))] == ["ua", "uau"]


def test_an_exchange_that_is_too_long_is_a_part_of_its_own() -> None:
    messages = turns("uauaua")
    messages[2]["content"] = "long " * 50
    assert [letters(part) for part in divided(messages, at_most(4))] == ["ua", "ua", "ua"]


CONVERSATIONS = st.from_regex(r"s?a?(u{1,2}(at{0,2})?a){1,6}u?", fullmatch=True)


@given(CONVERSATIONS, st.integers(1, 30))
def test_parts_hold_every_turn_once_and_are_conversations(roles: str, words: int) -> None:
    messages = turns(roles)
    system = messages[:1] if roles[0] == "s" else []
    parts = divided(messages, at_most(words))
    assert [m for part in parts for m in part[len(system) :]] == messages[len(system) :]
    for part in parts:
        assert part[: len(system)] == system
        shape_of(",".join(m["role"] for m in part))
    fitting = [part for part in parts if at_most(words)(part)]
    assert all(letters(part).count("a") >= 1 for part in fitting)


@given(CONVERSATIONS, st.integers(1, 30))
def test_a_truncated_conversation_is_a_beginning_that_fits(roles: str, words: int) -> None:
    messages = turns(roles)
    found = truncated(messages, at_most(words))
    if found is None:
        first = next(n for n, role in enumerate(roles) if role == "a" and "u" in roles[:n])
        assert not at_most(words)(messages[: first + 1])
        return
    assert messages[: len(found)] == found and at_most(words)(found)
    assert found[-1]["role"] == "assistant"
    shape_of(",".join(m["role"] for m in found))
