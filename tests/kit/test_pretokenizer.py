"""A home-trained tokenizer gets llama.cpp's name for how it splits text, or an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factory.kit import Kit, pretokenizer
from factory.kit.pretokenizer import NAMES, UnknownPreTokenizer, llama_cpp_name, name_of
from factory.kit.tokenizer_parity import tokenizer_mismatches
from tests.kit.conftest import train_tokenizer

BYTES_ONLY = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}


def tokenizer(*steps: dict[str, Any], ignore_merges: bool = False) -> dict[str, Any]:
    return {
        "model": {"type": "BPE", "ignore_merges": ignore_merges},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)},
    }


def split(regex: str, **changes: Any) -> dict[str, Any]:
    step = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    return {**step, **changes}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (tokenizer(split(pretokenizer.QWEN2), BYTES_ONLY), "qwen2"),
        (tokenizer(split(pretokenizer.QWEN35), BYTES_ONLY), "qwen35"),
        (tokenizer(split(pretokenizer.LLAMA3), BYTES_ONLY, ignore_merges=True), "llama-bpe"),
        (tokenizer(split(pretokenizer.LLAMA3), BYTES_ONLY), "dbrx"),
        (tokenizer({"type": "ByteLevel", "add_prefix_space": False}), "gpt-2"),
        ({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"}}, "gpt-2"),
    ],
)
def test_known(content: dict[str, Any], name: str) -> None:
    assert name_of(content) == name


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"model": {"type": "Unigram"}},
        {"model": {"type": "BPE"}},
        {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "Whitespace"}},
        tokenizer(split(r"\w+|\s+"), BYTES_ONLY),
        tokenizer(split(pretokenizer.QWEN2 + " "), BYTES_ONLY),
        tokenizer(split(pretokenizer.QWEN2), BYTES_ONLY, ignore_merges=True),
        tokenizer(split(pretokenizer.QWEN2, behavior="Removed"), BYTES_ONLY),
        tokenizer(split(pretokenizer.QWEN2, invert=True), BYTES_ONLY),
        tokenizer(split(pretokenizer.QWEN2), {**BYTES_ONLY, "add_prefix_space": True}),
        tokenizer(split(pretokenizer.QWEN2), split(pretokenizer.LLAMA3), BYTES_ONLY),
        tokenizer({"type": "Split", "pattern": {"String": " "}, "behavior": "Isolated"}),
    ],
)
def test_anything_else_is_an_error(content: dict[str, Any]) -> None:
    with pytest.raises(UnknownPreTokenizer):
        name_of(content)


def test_the_error_names_the_file_and_what_would_work(tmp_path: Path) -> None:
    with pytest.raises(UnknownPreTokenizer, match=r"tokenizer\.json: no such file"):
        llama_cpp_name(tmp_path)
    content = tokenizer(split(r"\w+"), BYTES_ONLY)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UnknownPreTokenizer, match=r"tokenizer\.json: .*Train .*qwen2"):
        llama_cpp_name(tmp_path)


@pytest.mark.slow
def test_the_converter_refuses_an_unknown_regex(
    tiny_model: Path, tmp_path: Path, convert: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    folder = tmp_path / "model"
    train_tokenizer(folder, [r"\w+|\s+|[^\w\s]+"], ignore_merges=False)
    (folder / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    done = convert(folder, "--outfile", tmp_path / "out.gguf", "--vocab-only")
    assert done.returncode != 0
    assert "UnknownPreTokenizer" in done.stderr
    assert not (tmp_path / "out.gguf").exists()


# One process for all of them: importing the converter takes far longer than a vocabulary.
CONVERT_ALL = """
import runpy, sys
converter, *folders = sys.argv[1:]
sys.path.insert(0, converter.rpartition("/")[0])
for folder in folders:
    sys.argv = [converter, folder, "--outfile", folder + "/vocab.gguf", "--vocab-only"]
    runpy.run_path(converter, run_name="__main__")
"""


@pytest.mark.slow
def test_every_name_in_the_table_tokenizes_alike(
    kit: Kit, tiny_model: Path, tmp_path: Path
) -> None:
    folders = {name: tmp_path / name for name in NAMES.values()}
    for (steps, ignore_merges), name in NAMES.items():
        train_tokenizer(folders[name], steps, ignore_merges)
        (folders[name] / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
        assert llama_cpp_name(folders[name]) == name
    subprocess.run(
        [sys.executable, "-c", CONVERT_ALL, kit.converter, *folders.values()],
        env={**os.environ, **kit.environment()},
        check=True,
        capture_output=True,
    )
    differing = {
        name: tokenizer_mismatches(folder / "vocab.gguf", folder)
        for name, folder in folders.items()
    }
    assert not any(differing.values()), differing
