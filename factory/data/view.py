"""A row as the model sees it: the rendered text in segments, trained or not."""

from __future__ import annotations

from typing import Any, NamedTuple

from factory.data.conversation import Row, template_messages, template_tools, trained_turns


class Segment(NamedTuple):
    """A stretch of rendered text, and whether it carries loss."""

    text: str
    trained: bool


def segments(tokenizer: Any, row: Row) -> list[Segment]:
    """Split the rendered row at the borders of its trained turns.

    A trained turn is what the template adds to the conversation before it when that ends with
    the generation prompt: the model's own words and the end of the turn.
    """
    messages, tools = template_messages(row), template_tools(row)
    found: list[Segment] = []
    done = 0

    def render(turns: Any, *, prompt: bool) -> str:
        text: str = tokenizer.apply_chat_template(
            turns, tools=tools, tokenize=False, add_generation_prompt=prompt
        )
        return text

    whole = render(messages, prompt=False)
    for turn in trained_turns(row):
        before, after = (
            render(messages[:turn], prompt=True),
            render(messages[: turn + 1], prompt=False),
        )
        if not (whole.startswith(before) and after.startswith(before)):
            continue  # a template that rewrites earlier turns: shown, not coloured
        end = len(after) if whole.startswith(after) else _common(whole, after)
        found += [
            Segment(whole[done : len(before)], False),
            Segment(whole[len(before) : end], True),
        ]
        done = end
    return [part for part in (*found, Segment(whole[done:], False)) if part.text]


def _common(first: str, second: str) -> int:
    """The length of the common beginning of two texts."""
    pairs = zip(first, second, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
