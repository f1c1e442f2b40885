"""Answers in plain text: normalised equality, or the answer that a pattern finds."""

from __future__ import annotations

import re
import unicodedata

from factory.errors import ConfigError


def normalise(text: str) -> str:
    """NFC, outer whitespace cut, inner whitespace runs as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def said(text: str) -> str:
    """An answer without the thoughts before it; a prompt may have opened them already."""
    return text.rpartition("</think>")[2]


def compile_answer(pattern: str | None) -> re.Pattern[str] | None:
    """Compile `evaluation.answer_pattern`; ConfigError if it is no expression with a group."""
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"not a regular expression: {error}", where="evaluation.answer_pattern"
        ) from None
    if compiled.groups < 1:
        raise ConfigError(
            "needs a group for the answer",
            where="evaluation.answer_pattern",
            hint=r"e.g. '#### *([-0-9.,]+)'",
        )
    return compiled


def answer(pattern: re.Pattern[str], text: str) -> str | None:
    """Group 1 of the last match, normalised, without thousands separators in numbers."""
    found = None
    for match in pattern.finditer(text):
        found = match.group(1)
    if found is None:
        return None
    plain = normalise(found)
    number = plain.replace(",", "")
    return number if re.fullmatch(r"[-+]?\d+(\.\d+)?", number) else plain
