"""A rendered row in segments: together the whole text, trained exactly what the model says."""

from __future__ import annotations

from typing import Any

import pytest

from factory.data import tokens
from factory.data.view import segments
from tests.conftest import ROOT

ROW: Any = {
    "id": "1",
    "source": "a",
    "conversations": [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": "Not this", "train": False},
        {"role": "user", "content": "So?"},
        {"role": "assistant", "content": "Bye"},
    ],
}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokens.load_tokenizer(str(ROOT / "models" / "base"), None)


def test_segments_are_the_whole_text(tokenizer: Any) -> None:
    whole = tokenizer.apply_chat_template(ROW["conversations"], tokenize=False)
    assert "".join(part.text for part in segments(tokenizer, ROW)) == whole


def test_only_trained_turns_are_marked(tokenizer: Any) -> None:
    marked = [part.text for part in segments(tokenizer, ROW) if part.trained]
    assert [text.strip().removesuffix("<|im_end|>") for text in marked] == ["Hello", "Bye"]
