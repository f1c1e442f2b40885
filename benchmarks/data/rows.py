"""Make benchmark rows: `python rows.py N FORMAT OUT`, chats of five turns, some 1.3 kB each.

FORMAT is openai, sharegpt, or planted: OpenAI rows of which every 50th is a changed copy of an
earlier one, named so by its id.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from typing import Any

import orjson

ROLES = ("system", "user", "assistant", "user", "assistant")
WORDS_BY_TURN = (12, 40, 60, 20, 50)
COPY_EVERY = 50
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def vocabulary(draw: random.Random, size: int = 20_000) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return ["".join(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(size)]


def row(draw: random.Random, words: list[str], form: str) -> dict[str, Any]:
    turns = [
        (role, " ".join(draw.choices(words, k=count)).capitalize() + ".")
        for role, count in zip(ROLES, WORDS_BY_TURN, strict=True)
    ]
    if form == "openai":
        return {"messages": [{"role": role, "content": text} for role, text in turns]}
    return {"conversations": [{"from": SHAREGPT[role], "value": text} for role, text in turns]}


def replaced(draw: random.Random, words: list[str], text: list[str]) -> list[str]:
    """One word in forty is another."""
    changed = text.copy()
    for place in draw.sample(range(len(text)), max(1, len(text) // 40)):
        changed[place] = draw.choice(words)
    return changed


def cut_off(_draw: random.Random, _words: list[str], text: list[str]) -> list[str]:
    """The end is missing."""
    return text[: len(text) * 9 // 10]


def recast(draw: random.Random, words: list[str], text: list[str]) -> list[str]:
    """In capitals, with other punctuation, and a word more."""
    return [draw.choice(words), *(f"{word.upper()}," for word in text)]


CHANGES = (replaced, cut_off, recast)


def planted(draw: random.Random, words: list[str], count: int) -> Iterator[dict[str, Any]]:
    """Rows with ids `row-N`, and changed copies of recent ones with ids `copy-N`."""
    recent: list[dict[str, Any]] = []
    for number in range(count):
        if number % COPY_EVERY or not recent:
            made = row(draw, words, "openai") | {"id": f"row-{number}"}
            recent = [*recent[-999:], made]
            yield made
            continue
        change = CHANGES[number // COPY_EVERY % len(CHANGES)]
        turns = [
            {"role": m["role"], "content": " ".join(change(draw, words, m["content"].split()))}
            for m in draw.choice(recent)["messages"]
        ]
        yield {"messages": turns, "id": f"copy-{number}"}


def rows(draw: random.Random, words: list[str], form: str, count: int) -> Iterator[dict[str, Any]]:
    if form == "planted":
        return planted(draw, words, count)
    return (row(draw, words, form) for _ in range(count))


def main(count: int, form: str, path: str) -> None:
    draw = random.Random(1)
    words = vocabulary(draw)
    with open(path, "wb") as file:
        for made in rows(draw, words, form, count):
            file.write(orjson.dumps(made) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
