"""Quality of a row by rules: how good its answers look, 0 to 1, and what is worst about them.

Each rule is a function from the row to a score. The score of the row is that of its worst rule,
so that a reason can be given. A rule says where its formula is from; limits that are taken from
filters of web pages keep their value, and a text only loses points beyond them.

    Gopher   Rae et al. 2021, arXiv:2112.11446, table A1
    C4       Raffel et al. 2020, arXiv:1910.10683, section 2.2
    FineWeb  Penedo et al. 2024, arXiv:2406.17557
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import orjson

from factory.data.conversation import Row, trained_turns
from factory.data.near import words

MIN_WORDS = 50  # Gopher; shorter texts repeat themselves without being repetitive
MIN_SPACES = 20  # of an answer whose end says something
LONGEST_WORD = 1000  # characters; C4's code drops lines with longer ones
MOST_WORDS = 100_000  # Gopher


class Answers(NamedTuple):
    """What the rules look at: the texts that would be trained, and the words of all of them."""

    texts: list[str]
    calls: bool
    tools: bool
    words: list[str]


def answers(row: Row) -> Answers:
    """The trained texts of a row; an answer may consist of calls alone."""
    turns = [row["conversations"][place] for place in trained_turns(row)]
    texts = [turn["content"].strip() for turn in turns]
    filled = [text for text in texts if text]
    calls = any(turn.get("tool_calls") for turn in turns)
    return Answers(filled, calls, "tools" in row, words("\n".join(filled)))


def graded(value: float, limit: float) -> float:
    """1 up to the limit, then in a line down to 0 at a share of 1."""
    return 1.0 if value <= limit else max(0.0, (1 - value) / (1 - limit))


def length(found: Answers) -> float:
    """0 without a single word, with a word of over 1000 characters (C4), or over 100,000 words
    (Gopher); a call needs no words."""
    if not found.texts and found.calls:
        return 1.0
    if not found.words or len(found.words) > MOST_WORDS:
        return 0.0
    return 0.0 if any(_ENDLESS.search(text) for text in found.texts) else 1.0


# Scripts that are written without spaces are no single word.
_ENDLESS = re.compile(
    rf"[^\s\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\ud7af]{{{LONGEST_WORD},}}"
)


def repetition(found: Answers) -> float:
    """Gopher's shares of characters, with its limits: in the commonest 2-, 3- and 4-gram of words
    (0.20, 0.18, 0.16), in repeated 5- and 10-grams (0.15, 0.10), and of repeated lines (0.30)."""
    if len(found.words) < MIN_WORDS:
        return 1.0
    scores = [graded(_repeated_lines(found.texts), 0.30)]
    total = sum(map(len, found.words))
    for size, limit in ((2, 0.20), (3, 0.18), (4, 0.16)):
        grams = Counter(_grams(found.words, size))
        gram, count = max(grams.items(), key=itemgetter(1))
        if count == 1:
            return min(scores)  # then no longer one is repeated, either
        scores.append(graded(min(count * sum(map(len, gram)) / total, 1.0), limit))
    for size, limit in ((5, 0.15), (10, 0.10)):
        scores.append(graded(_repeated_share(found.words, size, total), limit))
    return min(scores)


def _grams(found: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(found[start:] for start in range(size)), strict=False)


def _repeated_share(found: Sequence[str], size: int, total: int) -> float:
    """The share of characters in word n-grams that occurred before; each word counts once."""
    seen: set[tuple[str, ...]] = set()
    covered = 0
    last = 0  # words before it are counted
    for start, gram in enumerate(_grams(found, size)):
        if gram in seen:
            covered += sum(map(len, found[max(start, last) : start + size]))
            last = start + size
        seen.add(gram)
    return covered / total


def _repeated_lines(texts: Sequence[str]) -> float:
    """The share of lines that an earlier one equals; lines without a letter or digit aside."""
    lines = [line.strip() for text in texts for line in text.splitlines()]
    lines = [line for line in lines if any(map(str.isalnum, line))]
    return 1 - len(set(lines)) / len(lines) if lines else 0.0


def script_mix(found: Answers) -> float:
    """The share of letters that are neither Latin nor of the commonest other script; up to 0.35 is
    fine (FineWeb keeps pages of which a language classifier is sure by 0.65)."""
    text = "".join(found.texts)
    if text.isascii():
        return 1.0
    counts = {name: len(pattern.findall(text)) for name, pattern in _SCRIPTS.items()}
    latin = counts.pop("latin")
    total = latin + sum(counts.values())
    foreign = sum(counts.values()) - max(counts.values())
    return graded(foreign / total, 0.35) if total else 1.0


_SCRIPTS = {
    name: re.compile(f"[{ranges}]")
    for name, ranges in {
        "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
        "greek": "\u0370-\u03ff\u1f00-\u1fff",
        "cyrillic": "\u0400-\u052f",
        "armenian": "\u0530-\u058f",
        "hebrew": "\u0590-\u05ff",
        "arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufeff",
        "indic": "\u0900-\u0dff",
        "thai": "\u0e00-\u0eff",
        "georgian": "\u10a0-\u10ff",
        "ethiopic": "\u1200-\u139f",
        "khmer": "\u1780-\u17ff",
        "east_asian": "\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af",
    }.items()
}


def refusal(found: Answers) -> float:
    """The share of answers without boilerplate of a refusing assistant; the phrases are our own.

    With tools declared it is right to decline what none of them can do.
    """
    if not found.texts or found.tools:
        return 1.0
    refusing = sum(bool(_REFUSAL.search(text.replace("\u2019", "'"))) for text in found.texts)
    return 1 - refusing / len(found.texts)


_REFUSAL = re.compile(
    r"\bas an? (?:ai|artificial intelligence|large) (?:language )?(?:model|assistant)\b"
    r"|\b(?:i'm|i am) (?:just |only )?an? (?:ai|artificial intelligence|large)"
    r" (?:language )?(?:model|assistant)\b.{0,40}\b(?:can't|cannot|unable|not able|don't|do not)\b"
    r"|\A(?:i'm |i am )?(?:very )?(?:sorry|apologi[sz]e)[^.!?\n]{0,40}"
    r"\b(?:can't|cannot|can not|unable to|not able to|won't)"
    r" (?:\w+ )?(?:assist|help|fulfil|fulfill|comply|provide|do|answer)\b"
    r"|\Ai (?:can't|cannot|can not|won't)(?: \w+)? (?:assist|help|fulfil|fulfill|comply)\b"
    r"|\A(?:很)?(?:抱歉|对不起)[^。\n]{0,12}(?:无法|不能)|作为一个?(?:ai|人工智能)(?:语言)?(?:模型|助手)",
    re.IGNORECASE,
)


def markup(found: Answers) -> float:
    """Half for each kind of damage: a code fence without its end, HTML elements without theirs,
    characters lost in decoding, template markers, filler text (C4 drops "lorem ipsum")."""
    text = "\n".join(found.texts)
    prose = _FENCED.sub("", text)
    kinds = (
        any(len(_FENCE.findall(one)) % 2 for one in found.texts),
        _unbalanced(prose),
        bool(_LOST.search(text)),
        bool(_MARKER.search(prose)),
        "lorem ipsum" in prose.lower(),
    )
    return float(0.5 ** sum(kinds))


_FENCE = re.compile(r"^\s*(?:```|~~~)", re.MULTILINE)
_FENCED = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_ELEMENTS = "div|span|table|tr|td|ul|ol|pre|code|a|b|i|strong|em|h[1-6]|script|style"
_TAG = re.compile(rf"<(/?)({_ELEMENTS})(?:\s[^<>]*)?>", re.IGNORECASE)
# UTF-8 read as Latin-1 or cp1252, and what decoders put in the place of bytes they cannot read.
_LOST = re.compile(
    "\ufffd|\u00e2\u20ac[\u2018-\u2122\u0153]|\u00c3[\u0080-\u00bf](?![A-Z])|[\x00-\x08\x0e-\x1f]"
)
_MARKER = re.compile(
    r"<\|\w+\|>|\[/?INST\]|<</?SYS>>|</?s>|^### (?:Instruction|Response):|<(?:start|end)_of_turn>",
    re.MULTILINE,
)


def _unbalanced(prose: str) -> bool:
    """Whether any kind of HTML element is opened and not closed as often."""
    found: Counter[str] = Counter()
    for match in _TAG.finditer(prose):
        found[match[2].lower()] += -1 if match[1] else 1
    return any(found.values())


def ending(found: Answers) -> float:
    """0.3 if a longer answer ends in a comma, an open bracket or a word that wants another; 0.5 if
    its last line is prose that breaks off after whole sentences (C4 keeps lines that end in
    terminal punctuation)."""
    return min(map(_ending, found.texts), default=1.0)


def _ending(text: str) -> float:
    last = text[text.rfind("\n") + 1 :].strip()
    if text.count(" ") < MIN_SPACES or _FENCE.match(last):
        return 1.0
    if last[-1] in ",([{" or _WANTING.search(last):
        return 0.3
    is_prose = not _NO_PROSE.match(last) and len(last.split()) >= 8
    breaks_off = is_prose and last[-1].isalpha() and bool(_SENTENCE.search(last))
    return 0.5 if breaks_off else 1.0


_WANTING = re.compile(
    r"[a-z,] (?:the|an|and|or|but|of|with|because|which|such as|for example|i\.e\.)\Z"
)
_NO_PROSE = re.compile(r"[-*+#|>]|\d+[.)]|\s{4}")
_SENTENCE = re.compile(r"[a-z]{2}[.!?] [A-Z]")

RULES: dict[str, Callable[[Answers], float]] = {
    "length": length,
    "repetition": repetition,
    "script_mix": script_mix,
    "refusal": refusal,
    "markup": markup,
    "ending": ending,
}
RULE_NAMES = tuple(RULES)


def scores(row: Row) -> list[float]:
    """The score of a row by each rule, in the order of RULES."""
    found = answers(row)
    return [rule(found) for rule in RULES.values()]


def score_lines(lines: Sequence[bytes]) -> np.ndarray:
    """The scores of canonical lines: shape (rows, rules), float32."""
    found = [scores(orjson.loads(line)) for line in lines]
    return np.array(found, dtype=np.float32).reshape(-1, len(RULES))
