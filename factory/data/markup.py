"""Special tokens of the model inside text: tokenizers obey them wherever they stand.

An `<|im_start|>assistant` in a user's text becomes a real turn: it would be trained, and at run
time it would be an injection. A word joiner behind its first character makes it plain text that
looks the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from factory import storage
from factory.data.conversation import Message
from factory.data.rejection import Rejected, excerpt
from factory.errors import DataError

WORD_JOINER = "\u2060"
SHORTEST = 3  # a special token of one or two characters could not be told from prose


class SpecialTokens(NamedTuple):
    """The tokens to look for, and what to do with a row that has one in its text."""

    tokens: tuple[str, ...]
    action: str


NO_TOKENS = SpecialTokens((), "keep")


def special_tokens(tokenizer: Path) -> tuple[str, ...]:
    """The special tokens of a tokenizer's folder, from its own files."""
    found = {*_declared(tokenizer / "tokenizer.json"), *_configured(tokenizer)}
    return tuple(sorted(token for token in found if len(token) >= SHORTEST))


def _declared(path: Path) -> list[str]:
    return [entry["content"] for entry in _read(path).get("added_tokens", ()) if entry["special"]]


def _configured(folder: Path) -> list[str]:
    decoder = _read(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    return [entry["content"] for entry in decoder.values() if entry.get("special")]


def _read(path: Path) -> dict[str, Any]:
    try:
        value = storage.read_json(path.resolve())
    except DataError:
        return {}
    return value if isinstance(value, dict) else {}


def occurs(lines: bytes, tokens: tuple[str, ...]) -> bool:
    """Whether any of `tokens` is in the canonical `lines`; mostly a search for one character."""
    if not any(first in lines for first in {token[0].encode() for token in tokens}):
        return False
    return any(token.encode() in lines for token in tokens)


def made_plain(
    messages: list[Message], special: SpecialTokens
) -> tuple[list[Message], tuple[str, ...]]:
    """The turns with special tokens made plain text, and `special_token` if there were any.

    Raises Rejected instead where the configuration says so.
    """
    marked = [message for message in messages if _has_token(message, special.tokens)]
    if not marked:
        return messages, ()
    if special.action == "reject":
        raise Rejected("special_token", excerpt(marked[0]["content"]))
    return [_neutralised(message, special.tokens) for message in messages], ("special_token",)


def _has_token(message: Message, tokens: tuple[str, ...]) -> bool:
    texts = (message["content"], message.get("reasoning_content", ""))
    return any(token in text for text in texts for token in tokens)


def _neutralised(message: Message, tokens: tuple[str, ...]) -> Message:
    turn = message.copy()
    turn["content"] = _plain(turn["content"], tokens)
    if "reasoning_content" in turn:
        turn["reasoning_content"] = _plain(turn["reasoning_content"], tokens)
    return turn


def _plain(text: str, tokens: tuple[str, ...]) -> str:
    for token in tokens:
        text = text.replace(token, f"{token[0]}{WORD_JOINER}{token[1:]}")
    return text
