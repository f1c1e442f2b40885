"""The keys of texts: the quick way for many gives what the way for one gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from factory.data.normalise import fold, folded, normalise

WORDS = st.text(st.sampled_from("aB \t\n\x1f\0é\u2003\ufb01"), max_size=8)


@given(st.lists(WORDS | st.text(max_size=8)))
def test_many_texts_get_the_keys_of_each(texts: list[str]) -> None:
    assert folded(texts) == list(map(fold, texts))


@given(WORDS, WORDS)
def test_texts_that_are_the_same_as_normalised_share_a_key(one: str, other: str) -> None:
    assert fold(one) == fold(normalise(one))
    if normalise(one) == normalise(other):
        assert fold(one) == fold(other)
