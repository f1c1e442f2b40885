"""Name the pre-tokenizer of a byte-level BPE tokenizer the way llama.cpp does.

A GGUF file does not hold the regex that splits text before BPE, only a name of it
(`tokenizer.ggml.pre`) that llama.cpp maps to code. Its converter finds the name of a published
tokenizer by a hash of token ids; for one trained at home it has none. Here the name is derived
from what decides it: the regexes and flags in `tokenizer.json`. A wrong name would go unnoticed
(the file loads and splits text differently), so anything not in the table is an error.

A kit holds a copy of this file beside llama.cpp's converter: standard library only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class UnknownPreTokenizer(ValueError):
    """This tokenizer splits text in a way that has no known name in llama.cpp."""


_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"

QWEN2 = _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES
QWEN35 = (
    _CONTRACTIONS
    + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|"
    + _SPACES
)
LLAMA3 = (
    _CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + _SPACES
)
# The regex inside `ByteLevel(use_regex=True)`, and `Digits(individual_digits=True)` before it.
GPT2 = "ByteLevel"
DIGITS = "Digits"

# (splitting steps, the model's ignore_merges) -> name, each as in llama.cpp's
# src/llama-vocab.cpp: the regexes of llm_tokenizer_bpe, the flags of llama_vocab::impl::load.
NAMES: dict[tuple[tuple[str, ...], bool], str] = {
    ((QWEN2,), False): "qwen2",
    ((QWEN35,), False): "qwen35",
    ((LLAMA3,), True): "llama-bpe",
    ((LLAMA3,), False): "dbrx",
    ((GPT2,), False): "gpt-2",
    ((DIGITS, GPT2), False): "smollm",
}


def llama_cpp_name(folder: Path) -> str:
    """Return llama.cpp's name for the pre-tokenizer of the tokenizer saved in `folder`.

    Raises UnknownPreTokenizer, saying what was found, if the table has none.
    """
    path = Path(folder) / "tokenizer.json"
    try:
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnknownPreTokenizer(f"{path}: no such file") from None
    try:
        return name_of(tokenizer)
    except UnknownPreTokenizer as error:
        raise UnknownPreTokenizer(f"{path}: {error}") from None


def name_of(tokenizer: dict[str, Any]) -> str:
    """Like `llama_cpp_name`, for the parsed content of a `tokenizer.json`."""
    model = tokenizer.get("model") or {}
    if model.get("type") != "BPE":
        raise UnknownPreTokenizer(f"model type {model.get('type')!r} is not BPE")
    steps = tuple(_splitting_steps(tokenizer.get("pre_tokenizer") or {}))
    name = NAMES.get((steps, bool(model.get("ignore_merges"))))
    if name is None:
        raise UnknownPreTokenizer(
            f"llama.cpp's name is not known for the pre-tokenizer {list(steps)} with "
            f"ignore_merges={bool(model.get('ignore_merges'))}. Train the tokenizer with one of "
            f"{', '.join(sorted(NAMES.values()))}, or add the name to NAMES after a parity check"
        )
    return name


def _splitting_steps(step: dict[str, Any]) -> list[str]:
    """Flatten a pre-tokenizer into its splits; what only maps bytes to characters is no split."""
    kind = step.get("type")
    if kind == "Sequence":
        return [name for child in step["pretokenizers"] for name in _splitting_steps(child)]
    if kind == "Split" and step.get("behavior") == "Isolated" and not step.get("invert"):
        return [step.get("pattern", {}).get("Regex", repr(step.get("pattern")))]
    if kind == "Digits" and step.get("individual_digits"):
        return [DIGITS]
    if kind == "ByteLevel" and not step.get("add_prefix_space"):
        return [GPT2] if step.get("use_regex", True) else []
    return [repr(step)]
