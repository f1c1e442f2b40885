"""A GGUF file that tokenizes otherwise than its source does not go unnoticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from factory.errors import DataError
from factory.kit.tokenizer_parity import TRICKY_TEXTS, tokenizer_mismatches


@pytest.mark.slow
def test_the_converted_model_tokenizes_alike(tiny_model: Path, f16: Path) -> None:
    assert tokenizer_mismatches(f16, tiny_model) == []


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["gpt-2", "default"])
def test_a_wrong_name_is_found(wrong: str, tiny_model: Path, f16: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "renamed.gguf"
    rename = [sys.executable, "-m", "gguf.scripts.gguf_new_metadata", "--pre-tokenizer", wrong]
    subprocess.run([*rename, f16, renamed], check=True, capture_output=True)
    mismatches = tokenizer_mismatches(renamed, tiny_model)
    assert mismatches
    assert all(found.text in TRICKY_TEXTS for found in mismatches)
    assert all(found.expected != found.actual for found in mismatches)


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no tokenizer can be loaded"):
        tokenizer_mismatches(tmp_path / "x.gguf", tmp_path)


@pytest.mark.slow
def test_a_file_that_is_no_gguf_is_named(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_text("hello")
    with pytest.raises(DataError, match=r"x\.gguf: llama\.cpp cannot load it"):
        tokenizer_mismatches(path, tiny_model)
