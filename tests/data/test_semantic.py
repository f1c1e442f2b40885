"""Semantic duplicates under a small embedding model that is built here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from factory.data import semantic
from factory.errors import ConfigError

# Words of one meaning have almost the same vector.
MEANINGS = [
    ("show", "display", "print"),
    ("memory", "ram"),
    ("cpu", "processor"),
    ("registers", "state"),
    ("stop", "halt", "pause"),
    ("now", "immediately"),
]


def save_model(folder: Path) -> Path:
    """A model2vec model that knows MEANINGS."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    vocabulary = {"[UNK]": 0}
    vectors = [np.zeros(16)]
    draw = np.random.default_rng(0)
    for words in MEANINGS:
        meaning = draw.normal(size=16)
        for word in words:
            vocabulary[word] = len(vocabulary)
            vectors.append(meaning + draw.normal(size=16) * 0.05)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    StaticModel(np.array(vectors, dtype=np.float32), tokenizer).save_pretrained(str(folder))
    return folder


def line(text: str) -> bytes:
    return json.dumps({"conversations": [{"role": "user", "content": text}]}).encode()


def found(folder: Path, texts: list[str], threshold: float = 0.95) -> dict[int, int]:
    lines = [(10 * n, line(text)) for n, text in enumerate(texts)]
    model = semantic.load(save_model(folder / "model"))
    pairs, cosines = semantic.duplicates(lines, len(lines), model, threshold, folder)
    assert len(cosines) == len(pairs.rows) and all(cosines >= threshold)
    return dict(zip(pairs.rows.tolist(), pairs.values.tolist(), strict=True))


def test_other_words_of_the_same_meaning_are_found_with_their_twin(tmp_path: Path) -> None:
    texts = ["show memory", "stop cpu", "display ram", "halt processor", "print registers"]
    assert found(tmp_path, texts) == {20: 0, 30: 10}


def test_blocks_find_what_one_block_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(1)
    words = [word for group in MEANINGS for word in group]
    texts = [" ".join(draw.choice(words, 3)) for _ in range(200)]
    whole = found(tmp_path, texts)
    monkeypatch.setattr(semantic, "BLOCK_ROWS", 7)
    monkeypatch.setattr(semantic, "BATCH_ROWS", 13)
    # Of twins of equal cosine rounding decides, so that only the rows are compared.
    assert found(tmp_path, texts).keys() == whole.keys() and len(whole) > 50


def test_unknown_words_resemble_nothing(tmp_path: Path) -> None:
    assert found(tmp_path, ["xyzzy", "plugh", ""]) == {}


def test_no_rows(tmp_path: Path) -> None:
    assert found(tmp_path, []) == {}


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no config\.json, model\.safetensors") as caught:
        semantic.load(tmp_path)
    assert "distil" in str(caught.value.hint)
