"""The base model's tokenizer: byte-level BPE that splits text as Qwen2 does.

Merges are learned from the words of a word list and from runs of punctuation, nothing else. That
makes copying easy, which is most of what a tool call is: a word has the same tokens after a space,
a quote or a slash, and digits, hex digits, opcodes and constants are one token per character.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Qwen2's own expression: llama.cpp knows it by the name "qwen2".
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PAD, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# Markup that a reader of the answer must see: ordinary tokens, kept when special ones are skipped.
MARKUP = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
# Whole words come first; what room is left goes to capitalised and plural forms.
WORD_WEIGHT, FORM_WEIGHT = 20, 2
CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")


def merge_material(words: Iterable[str], texts: Iterable[str]) -> Iterator[str]:
    """Yield what merges are learned from: whole words, their common forms, and punctuation."""
    import regex

    for word in words:
        yield from (word,) * WORD_WEIGHT
        yield from (word.capitalize(), word + "s") * FORM_WEIGHT
    punctuation = regex.compile(r" ?[^\s\p{L}\p{N}]+\n?")
    for text in texts:
        yield from punctuation.findall(text)


def train_tokenizer(
    words: Iterable[str], texts: Iterable[str], vocab_size: int
) -> PreTrainedTokenizerFast:
    """Learn a tokenizer of exactly `vocab_size` tokens, special ones included."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    specials = [PAD, TURN_START, TURN_END]
    tokenizer = Tokenizer(models.BPE())
    whole_run = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = whole_run
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(specials) - len(MARKUP),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(merge_material(words, texts), trainer)
    split = pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, whole_run])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in specials])
    tokenizer.add_tokens([AddedToken(token, special=False) for token in MARKUP])
    if tokenizer.get_vocab_size() != vocab_size:
        raise ValueError(f"text taught {tokenizer.get_vocab_size()} tokens, want {vocab_size}")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=PAD,
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE.read_text(encoding="utf-8"),
    )
