"""What the proof needs to know before it starts the comparing process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from factory.errors import DataError
from factory.export import proof
from factory.inference.request import Request


@pytest.mark.parametrize(
    ("configuration", "dtype"),
    [
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "float16"}, "float16"),
        ({"text_config": {"dtype": "float32"}}, "float32"),
    ],
)
def test_the_type_of_the_merged_weights_is_the_one_config_json_states(
    tmp_path: Path, configuration: dict[str, Any], dtype: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    assert proof.stored_dtype(tmp_path) == dtype


@pytest.mark.parametrize("configuration", [{}, {"dtype": "auto"}, {"dtype": None}])
def test_a_type_that_is_not_stated_is_not_guessed(
    tmp_path: Path, configuration: dict[str, Any]
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configuration))
    with pytest.raises(DataError, match="type of its weights"):
        proof.stored_dtype(tmp_path)


def test_a_request_survives_the_way_to_the_child(tmp_path: Path) -> None:
    reference = Request(
        engine="transformers",
        model="models/base",
        adapter='a "quoted"\nfolder',
        tokenizer="models/base",
        chat_template=None,
        rows="test.jsonl",
        ids=["row 1"],
        turns="all",
        output="",
        max_new_tokens=1,
        batch_size=1,
        dtype="auto",
        load_in_4bit=False,
        threads=1,
        max_seq_length=128,
        losses=False,
    )
    asked = proof.ProofRequest(reference, "merged", "bfloat16", {"q8_0": "x.gguf"}, "out.json")
    asked.save(tmp_path / "request.json")
    assert proof.read_request(tmp_path / "request.json") == asked
