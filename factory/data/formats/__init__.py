"""Row formats: one module each, all with NAME, `matches(row)` and `read(row)`.

`read` returns the canonical turns and the raw tool declarations of one row, or raises Rejected.
A file has one format, detected on its first rows; a row that does not fit it is a reject.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from factory.data.conversation import Message
from factory.data.formats import alpaca, anthropic, chatml, openai, pairs, preference, sharegpt
from factory.data.formats.plain import PlainNames
from factory.data.rejection import Rejected, excerpt
from factory.errors import ConfigError, did_you_mean

Turns = tuple[list[Message], Any]
Reader = Callable[[dict[str, Any]], Turns]


class Format(NamedTuple):
    """One row format."""

    name: str
    matches: Callable[[dict[str, Any]], bool]
    read: Reader


UNKNOWN = "unknown"


def _read_unknown(row: dict[str, Any]) -> Turns:
    raise Rejected("wrong_format", f"fields: {excerpt(sorted(row))}")


# In the order of detection: the more telling field names first.
FORMATS: dict[str, Format] = {
    module.NAME: Format(module.NAME, module.matches, module.read)
    for module in (preference, anthropic, chatml, openai, sharegpt, alpaca, pairs)
}
READERS = {name: form.read for name, form in FORMATS.items()} | {UNKNOWN: _read_unknown}


# Formats with a short way for rows of mere texts.
PLAIN: dict[Reader, PlainNames] = {openai.read: openai.PLAIN, sharegpt.read: sharegpt.PLAIN}


def by_name(name: str, where: str = "dataset.format") -> Format:
    """The format called `name`; ConfigError with the nearest name otherwise."""
    if name not in FORMATS:
        raise ConfigError(
            f"unknown row format {name!r}{did_you_mean(name, FORMATS)}",
            where=where,
            hint=f"one of: auto, {', '.join(FORMATS)}",
        )
    return FORMATS[name]


def detect(rows: Iterable[dict[str, Any]]) -> tuple[Format | None, int, int]:
    """Return the format that most of `rows` have, how many have it, and how many were asked."""
    votes: Counter[str] = Counter()
    asked = 0
    for row in rows:
        asked += 1
        votes.update([found] if (found := format_of(row)) else [])
    if not votes:
        return None, 0, asked
    name, count = votes.most_common(1)[0]
    return FORMATS[name], count, asked


def format_of(row: dict[str, Any]) -> str | None:
    """The name of the first format whose fields `row` has."""
    return next((name for name, form in FORMATS.items() if form.matches(row)), None)
