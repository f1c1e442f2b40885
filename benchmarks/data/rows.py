"""Make benchmark rows: `python rows.py N FORMAT OUT`, chats of five turns, some 1.3 kB each."""

from __future__ import annotations

import random
import sys
from typing import Any

import orjson

ROLES = ("system", "user", "assistant", "user", "assistant")
WORDS_BY_TURN = (12, 40, 60, 20, 50)
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


def main(count: int, form: str, path: str) -> None:
    draw = random.Random(1)
    words = vocabulary(draw)
    with open(path, "wb") as file:
        for _ in range(count):
            file.write(orjson.dumps(row(draw, words, form)) + b"\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
