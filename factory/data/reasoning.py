"""The thoughts before an answer: a field of the turn, or `<think>...</think>` in its text.

Templates that know `reasoning_content` put thoughts where the model expects them, and leave out
those of earlier turns. Others render nothing of the field, so that thoughts would be lost in
silence: there they go into the text.
"""

from __future__ import annotations

import re

from factory.artifacts import Decision
from factory.data.conversation import Message

START, END = "<think>", "</think>"
FIELD, INLINE, KEEP = "field", "inline", "keep"
_THOUGHTS = re.compile(rf"\s*{START}(.*?){END}\s*(.*)", re.DOTALL)


def decide(asked: str, template: str) -> Decision:
    """Where thoughts go, by `dataset.reasoning` and the text of the chat template."""
    if asked != "auto":
        return Decision(value=asked, reason="dataset.reasoning")
    if "reasoning_content" in template:
        return Decision(value=FIELD, reason="the chat template renders reasoning_content")
    cuts = f", and may cut what stands before {END}" if END in template else ""
    return Decision(value=INLINE, reason=f"the chat template has no reasoning_content{cuts}")


def arranged(messages: list[Message], how: str) -> list[Message]:
    """The turns with the thoughts of answers in their field, or in the text."""
    if how == FIELD and any(START in message["content"] for message in messages):
        return [_separated(message) for message in messages]
    if how == INLINE and any("reasoning_content" in message for message in messages):
        return [_joined(message) for message in messages]
    return messages


def _separated(message: Message) -> Message:
    """An answer that begins with thoughts, without them; one of thoughts only stays as it is."""
    found = _THOUGHTS.fullmatch(message["content"])
    if message["role"] != "assistant" or found is None or "reasoning_content" in message:
        return message
    thoughts, said = found[1].strip(), found[2]
    if not said and not message.get("tool_calls"):
        return message
    turn: Message = {**message, "content": said}
    if thoughts:
        turn["reasoning_content"] = thoughts
    return turn


def _joined(message: Message) -> Message:
    turn = message.copy()
    thoughts = turn.pop("reasoning_content", "").strip()
    if thoughts:
        turn["content"] = f"{START}\n{thoughts}\n{END}\n\n{turn['content']}"
    return turn
