"""The thoughts before an answer: a field of the turn, or `<think>...</think>` in its text.

Many templates name `reasoning_content` and render it under conditions of their own, others cut what
stands before `</think>`: only rendering tells where thoughts survive. That happens in a process of
its own, as all rendering does here, and only for templates that speak of thoughts at all.

    python -m factory.data.reasoning JOB.json
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory import child
from factory.data.conversation import Message

if TYPE_CHECKING:
    from factory.artifacts import Decision

START, END = "<think>", "</think>"
FIELD, INLINE, KEEP = "field", "inline", "keep"
_THOUGHTS = re.compile(rf"\s*{START}(.*?){END}\s*(.*)", re.DOTALL)
_SPOKEN_OF = ("think", "reasoning")
_PROBE = "Quite so, thought the owl."


def decide(asked: str, template: str, tokenizer: Path, log: Path) -> Decision:
    """Where thoughts go, by `dataset.reasoning` and what the chat template renders."""
    from factory.artifacts import Decision  # on use: workers import this module for its rows

    if asked != "auto":
        return Decision(value=asked, reason="dataset.reasoning")
    if not any(word in template for word in _SPOKEN_OF):
        return Decision(value=INLINE, reason="the chat template does not speak of thoughts")
    shown = _rendered(template, tokenizer, log)
    if shown.get(FIELD):
        return Decision(value=FIELD, reason="the chat template renders reasoning_content")
    if shown.get(INLINE):
        return Decision(value=INLINE, reason=f"the chat template renders {START} in the text only")
    return Decision(
        value=KEEP,
        reason="the chat template renders no thoughts, so none are trained: "
        "dataset.chat_template can name another",
    )


def _rendered(template: str, tokenizer: Path, log: Path) -> dict[str, Any]:
    """Whether thoughts show in the rendered text, from the field and from the text."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job.json"
        job.write_text(json.dumps({"tokenizer": str(tokenizer), "template": template}))
        command = child.python("factory.data.reasoning", str(job))
        child.run(command, log=log, environment={}, on_event=found.update)
    return found


def main(job: Path) -> int:
    """The child: render an answer with thoughts in either place; report where they show."""
    from factory.data import tokens

    asked = json.loads(job.read_text(encoding="utf-8"))
    request = tokens.Request(asked["tokenizer"], asked["template"], 0, [], "", "")
    tokenizer = tokens.prepared(request)
    if tokenizer is None:
        return 1
    user: Message = {"role": "user", "content": "Who?"}
    said: Message = {"role": "assistant", "content": "Me.", "reasoning_content": _PROBE}
    for how in (FIELD, INLINE):
        text = tokens.rendered(tokenizer, {"conversations": arranged([user, said], how)})
        child.emit({how: text is not None and _PROBE in text})
    return 0


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


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
