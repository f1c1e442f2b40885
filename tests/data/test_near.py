"""Planted near duplicates are found, unrelated rows are not."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.data.near import jaccard, near_duplicates, shingles, words

pytest.importorskip("rensa")

WORDS = [
    "".join(random.Random(n).choices("abcdefghijklmnopqrstuvwxyz", k=3 + n % 7))
    for n in range(3000)
]


def text(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words)).capitalize() + "."


def line(said: str) -> bytes:
    turns = [{"role": "user", "content": said}, {"role": "assistant", "content": "Yes."}]
    return json.dumps({"conversations": turns}).encode()


def recased(said: str, draw: random.Random) -> str:
    return "".join(c.upper() if draw.random() < 0.5 else c for c in said)


def repunctuated(said: str, draw: random.Random) -> str:
    return " ".join(w + draw.choice(["", ",", " -", "!", ";"]) for w in said.split())


def truncated(said: str, draw: random.Random) -> str:
    words = said.split()
    return " ".join(words[: int(len(words) * draw.uniform(0.85, 0.98))])


def paraphrased(said: str, draw: random.Random) -> str:
    """One word in thirty is another one."""
    words = said.split()
    for place in draw.sample(range(len(words)), len(words) // 30):
        words[place] = draw.choice(WORDS)
    return " ".join(words)


CHANGES = (recased, repunctuated, truncated, paraphrased)


def found(lines: list[bytes]) -> dict[int, int]:
    pairs = near_duplicates(enumerate(lines), 0.7)
    return dict(zip(pairs.rows.tolist(), pairs.values.tolist(), strict=True))


@pytest.mark.parametrize("change", CHANGES)
def test_planted_copies_are_found_with_their_originals(change: object) -> None:
    draw = random.Random(7)
    originals = [text(n) for n in range(500)]
    copies = [change(said, draw) for said in originals]  # type: ignore[operator]
    pairs = found([line(said) for said in originals + copies])
    hits = sum(pairs.get(500 + n) == n for n in range(500))
    assert hits >= 490
    assert not any(row < 500 for row in pairs)


def test_of_unrelated_rows_none_is_flagged() -> None:
    assert found([line(text(n)) for n in range(1000)]) == {}


def test_a_script_without_spaces_is_taken_character_by_character() -> None:
    one = "识别并解释给定列表中的两个科学理论细胞理论和日心说"
    assert jaccard(one, one[:-1]) > 0.9
    assert jaccard(one, "描述制作可丽饼的过程需要面粉鸡蛋牛奶") < 0.1


def test_case_and_punctuation_make_no_shingles() -> None:
    assert shingles("Look, at THE memory!") == shingles("look at the memory")


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_has_the_same_words_as_in_other_company(text: str) -> None:
    assert words(text) == words(text + " é")[:-1]
