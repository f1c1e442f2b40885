"""From a canonical row to what a model is asked: prompt tokens, target tokens, expected turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from factory.data.conversation import Message, Row, template_tools
from factory.errors import DataError
from factory.scoring import tool_calls
from factory.training.templates.training_data import Encoder


@dataclass(frozen=True)
class Turn:
    """One assistant turn of one row, given everything before it.

    `target_ids` is the turn itself with its end-of-turn token, as the model should say it.
    """

    row_id: str
    index: int
    prompt: str
    prompt_ids: list[int]
    target_ids: list[int]


def turns(tokenizer: Any, row: Row, *, which: str) -> Iterator[Turn]:
    """Yield the assistant turns of `row` that are trained on (`which`: all or last)."""
    messages = row["conversations"]
    asked = [
        index
        for index, message in enumerate(messages)
        if message["role"] == "assistant" and message.get("train", True)
    ]
    for index in asked if which == "all" else asked[-1:]:
        yield _turn(tokenizer, row, index)


def _turn(tokenizer: Any, row: Row, index: int) -> Turn:
    messages, tools = row["conversations"], template_tools(row)
    prompt = _render(tokenizer, messages[:index], tools, ask=True)
    whole = _render(tokenizer, messages[: index + 1], tools, ask=False)
    if not whole.startswith(prompt):
        # Reasoning templates open the answer with an empty <think> block in the prompt only, or
        # in the answer only: the part both agree on is the prompt.
        prompt = prompt[: _common_length(prompt, whole)]
    # As in training: control tokens that somebody wrote into a message stay text.
    asked = {"conversations": messages[: index + 1], "tools": tools}
    _text, ids, offsets = _encoder(tokenizer).encode(asked)
    start = next((place for place, span in enumerate(offsets) if span[0] >= len(prompt)), len(ids))
    target = _cut_after_end(tokenizer, ids[start:])
    if not target:
        raise DataError(f"assistant turn {index} renders to no tokens", where=row["id"])
    _prove_readable(tokenizer, messages[index], whole[len(prompt) :], row["id"])
    return Turn(row["id"], index, prompt, ids[:start], target)


@lru_cache(maxsize=2)
def _encoder(tokenizer: Any) -> Encoder:
    return Encoder(tokenizer)


def _render(tokenizer: Any, messages: list[Message], tools: Any, *, ask: bool) -> str:
    rendered: str = tokenizer.apply_chat_template(
        messages, tools=tools, tokenize=False, add_generation_prompt=ask
    )
    return rendered


def _common_length(first: str, second: str) -> int:
    for length, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return length
    return min(len(first), len(second))


def _cut_after_end(tokenizer: Any, ids: list[int]) -> list[int]:
    """Drop what the template puts after the end-of-turn token (a newline, in ChatML)."""
    special = set(tokenizer.all_special_ids)
    for place in range(len(ids) - 1, -1, -1):
        if ids[place] in special:
            return ids[: place + 1]
    return ids


def _prove_readable(tokenizer: Any, message: Message, rendered: str, row_id: str) -> None:
    """The parsers must read back the expected calls from this template's own rendering."""
    expected = tool_calls.expected_calls(dict(message))
    if not expected:
        return
    found = tool_calls.read(strip_end(tokenizer, rendered))
    if not tool_calls.score(expected, found.calls).exact:
        raise DataError(
            "the tool-call syntax of this chat template cannot be read back, so nothing that the "
            f"model answers could be scored (turn renders as {rendered[:120]!r})",
            where=row_id,
            hint="use a template with <tool_call>, [TOOL_CALLS] or JSON calls",
        )


def strip_end(tokenizer: Any, text: str) -> str:
    """Cut generated text at the first end-of-turn token."""
    for token in (tokenizer.eos_token, tokenizer.pad_token, "<|im_end|>", "<|eot_id|>"):
        if token:
            text = text.split(token, 1)[0]
    return text.strip()
