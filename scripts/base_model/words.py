"""The word lists of `words.txt`, by section."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

WORDS_FILE = Path(__file__).with_name("words.txt")


@dataclass(frozen=True)
class Words:
    """Sections of the word file; `everything` keeps the file's order, each word once."""

    nouns: tuple[str, ...]
    adjectives: tuple[str, ...]
    verb_groups: tuple[tuple[str, ...], ...]
    opposites: tuple[tuple[str, str], ...]
    everything: tuple[str, ...]


def _sections(text: str) -> dict[str, list[str]]:
    """Map each `[section]` to its lines, comments and blank lines left out."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if line.startswith("["):
            current = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    return sections


@cache
def load_words() -> Words:
    """Read the word file."""
    sections = _sections(WORDS_FILE.read_text(encoding="utf-8"))
    flat = {name: tuple(" ".join(lines).split()) for name, lines in sections.items()}
    return Words(
        nouns=flat["nouns"],
        adjectives=flat["adjectives"],
        verb_groups=tuple(tuple(line.split()) for line in sections["verbs"]),
        opposites=tuple((line.split()[0], line.split()[1]) for line in sections["opposites"]),
        everything=tuple(dict.fromkeys(word for words in flat.values() for word in words)),
    )
