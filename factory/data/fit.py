"""Rows that are too long, cut at turn boundaries until they fit, in a process of its own.

Nothing is ever cut inside a turn. `truncate` drops turns at the end, so that the row still ends
with a whole answer. `split` makes several rows of one: each begins with the system turn and a
user turn, ends with an answer, and bears the group of the others, so that no split divides them.

    python -m factory.data.fit REQUEST.json
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from factory import child
from factory.data import tokens
from factory.data.conversation import Message, Row
from factory.data.lines import pick

ROWS_FILE, LINES_FILE = "fitted.npy", "fitted.jsonl"
Fits = Callable[[list[Message]], bool]


def fitted(folder: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that the child made, each with the number of the row that it replaces."""
    with (folder / LINES_FILE).open("rb") as file:
        yield from zip(np.load(folder / ROWS_FILE).tolist(), file, strict=True)


def truncated(messages: list[Message], fits: Fits) -> list[Message] | None:
    """The longest beginning of a conversation that fits and ends with an answer to learn.

    None if there is none: the first answer alone is too long.
    """
    ends = [place + 1 for place in _answers(messages)]
    found = _most(len(ends), lambda count: fits(messages[: ends[count - 1]]))
    return messages[: ends[found - 1]] if found else None


def divided(messages: list[Message], fits: Fits) -> list[list[Message]]:
    """The exchanges of a conversation in as few conversations as fit, in order.

    An exchange that is too long on its own is a conversation on its own, which still is too long.
    """
    system = messages[:1] if messages[0]["role"] == "system" else []
    starts = [*_starts(messages), len(messages)]
    parts: list[list[Message]] = []
    first = 0
    while first < len(starts) - 1:

        def part(count: int, first: int = first) -> list[Message]:
            return [*system, *messages[starts[first] : starts[first + count]]]

        count = _most(len(starts) - 1 - first, lambda count: fits(part(count))) or 1
        parts.append(part(count))
        first += count
    return parts


def _answers(messages: list[Message]) -> list[int]:
    """Positions of the answers to learn that stand behind a user turn."""
    roles = [message["role"] for message in messages]
    asked = roles.index("user")
    return [
        place
        for place, message in enumerate(messages)
        if place > asked and message["role"] == "assistant" and message.get("train", True)
    ]


def _starts(messages: list[Message]) -> list[int]:
    """Where exchanges begin: at user turns behind an answer, if another answer follows.

    The first begins with the conversation, whoever speaks first there.
    """
    roles = [message["role"] for message in messages]
    last_answer = len(roles) - 1 - roles[::-1].index("assistant")
    first = 1 if roles[0] == "system" else 0
    asked = roles.index("user")
    return [first] + [
        place
        for place in range(asked + 1, last_answer)
        if roles[place] == "user" and roles[place - 1] in ("assistant", "tool")
    ]


def _most(most: int, fits: Callable[[int], bool]) -> int:
    """The largest count up to `most` that fits, by bisection; 0 if none does.

    More turns are more tokens. Where a template rewrites earlier turns that may fail; then the
    result fits all the same, but need not be the largest.
    """
    return bisect_right(range(1, most + 1), 0, key=lambda count: 0 if fits(count) else 1)


def main(job: Path) -> int:
    """The child: cut the rows of one request that are too long, report progress as events."""
    request = tokens.read_request(job)
    tokenizer = tokens.prepared(request)
    if tokenizer is None:
        return 1
    folder = Path(request.folder)
    sizes = np.fromfile(request.sizes, "<u4")
    limit = request.max_tokens - tokens.template_slack(tokenizer)
    rows = tokens.to_count(sizes, np.load(folder / tokens.FLAGS_FILE), limit)
    lines = pick(request.segments, sizes, rows)
    found: list[int] = []

    def fits(messages: list[Message], row: Row) -> bool:
        changed: Any = {**row, "conversations": messages}
        (length,) = tokens.lengths(tokenizer, [changed])
        return 0 <= length <= request.max_tokens

    with (folder / LINES_FILE).open("wb") as file:
        for done, (number, line) in enumerate(zip(rows.tolist(), lines, strict=True), start=1):
            row = orjson.loads(line)
            (length,) = tokens.lengths(tokenizer, [row])
            if length > request.max_tokens:
                made = _cut(row, partial(fits, row=row), request.excess)
                file.writelines(map(_line, made))
                found += [number] * len(made)
            if done % tokens.BATCH_ROWS == 0:
                child.emit({"done": done, "total": len(rows)})
    np.save(folder / ROWS_FILE, np.array(found, dtype=np.int64))
    return 0


def _cut(row: Row, fits: Fits, how: str) -> list[Row]:
    """The rows in the place of one that is too long; none if that would not help."""
    messages = row["conversations"]
    if how == "truncate":
        kept = truncated(messages, fits)
        return [] if kept is None else [{**row, "conversations": kept}]
    parts = divided(messages, fits)
    if len(parts) == 1:
        return []
    group = row.get("group", row["id"])
    return [
        {**row, "conversations": part, "id": f"{row['id']}#{number}", "group": group}
        for number, part in enumerate(parts, start=1)
    ]


def _line(row: Row) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
