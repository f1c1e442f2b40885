"""The installed kit, home-trained tokenizers, and a tiny random model to convert."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from factory.kit import Kit, pretokenizer, require

QWEN3_TOKENIZER = ((pretokenizer.QWEN2,), False)
CORPUS = Path(__file__).with_name("test_pretokenizer.py")


@pytest.fixture(scope="session")
def kit() -> Kit:
    """The kit that set-up built. Its absence is a failure, not a reason to skip."""
    return require()


def splitter(step: str) -> object:
    """The `tokenizers` object for one step of `pretokenizer.NAMES`."""
    from tokenizers import Regex, pre_tokenizers

    if step == pretokenizer.GPT2:
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if step == pretokenizer.DIGITS:
        return pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Split(Regex(step), "isolated")


def train_tokenizer(folder: Path, steps: Sequence[str], ignore_merges: bool) -> None:
    """Train a small byte-level BPE tokenizer that splits by `steps`, and save it in `folder`."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    parts = [splitter(step) for step in steps]
    if pretokenizer.GPT2 not in steps:
        parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # Few texts that repeat a lot: merges then reach across whole pre-tokens, where it matters.
    texts = [*CORPUS.read_text(encoding="utf-8").splitlines(), "1234 12345", "  \n\n  x", "it's"]
    tokenizer.train_from_iterator(texts * 4, trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    ).save_pretrained(folder)


def save_random_model(folder: Path) -> None:
    """A random two-layer Qwen3 for the tokenizer in `folder`; every row is a multiple of 32."""
    import torch
    from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=True,
        max_position_embeddings=256,
        eos_token_id=tokenizer.eos_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face folder with a home-trained Qwen-style tokenizer and a random model."""
    folder = tmp_path_factory.mktemp("tiny model")
    train_tokenizer(folder, *QWEN3_TOKENIZER)
    save_random_model(folder)
    return folder


@pytest.fixture(scope="session")
def convert(kit: Kit) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the kit's converter with these arguments."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, kit.converter, *arguments],
            env={**os.environ, **kit.environment(), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="session")
def f16(
    tiny_model: Path,
    convert: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The tiny model as an f16 GGUF file."""
    path = tmp_path_factory.mktemp("gguf") / "tiny f16.gguf"
    done = convert(tiny_model, "--outfile", path, "--outtype", "f16")
    assert done.returncode == 0, done.stderr
    return path
