"""Near duplicates: rows of almost the same words, by MinHash and locality-sensitive hashing.

Two rows are near duplicates if the Jaccard similarity of their word 3-grams, as estimated from
128 permutations (Broder 1997), reaches the threshold. 32 bands of 4 find a pair of similarity 0.7
with a probability of 0.9998 and one of 0.5 with 0.87; what they find is then compared in full.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import orjson

from factory.data.normalise import normalise
from factory.data.rows import Values
from factory.errors import ConfigError

PERMUTATIONS = 128
BANDS = 32
SEED = 42  # of the permutations; the result does not depend on the seed of the data set
SHORT = 8  # fewer 3-grams say too little on their own
# A word, or a single character of the scripts that are written without spaces.
_ALONE = r"\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+")
# The same for ASCII, byte by byte: a word's characters in lower case, a space for all others.
_ASCII_WORDS = bytes(
    ord(chr(code).lower()) if code < 128 and _WORD.match(chr(code)) else ord(" ")
    for code in range(256)
)


def near_duplicates(lines: Iterable[tuple[int, bytes]], threshold: float) -> Values:
    """Return the rows that nearly repeat an earlier one, with the most similar of those.

    `lines` are canonical lines with their row numbers, in order. A row that is a near duplicate
    stays comparable: a chain of small changes is found link by link.
    Raises ConfigError when the package that does the hashing is not installed.
    """
    try:
        from rensa import RMinHash, RMinHashLSH
    except ImportError:
        raise ConfigError(
            "near duplicates need the package rensa",
            where="dataset.near_duplicates",
            hint="pip install 'factory[data]', or set it to \"off\"",
        ) from None
    index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
    sketches: dict[int, object] = {}
    rows: list[int] = []
    twins: list[int] = []
    for row, line in lines:
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=SEED)
        sketch.update(shingles(text_of(line)))
        similar = [(sketch.jaccard(sketches[other]), -other) for other in index.query(sketch)]
        best = max(similar, default=(0.0, 0))
        if best[0] >= threshold:
            rows.append(row)
            twins.append(-best[1])
        index.insert(row, sketch)
        sketches[row] = sketch
    return Values(np.array(rows, dtype=np.int64), np.array(twins, dtype=np.int64))


def text_of(line: bytes) -> str:
    """All that is said in a canonical line."""
    messages = orjson.loads(line)["conversations"]
    return "\n".join(message["content"] for message in messages if message["role"] != "system")


def shingles(text: str) -> list[str]:
    """The word 3-grams of a text, without case and punctuation; of a short text its words, too."""
    found = words(text)
    grams = list(map(" ".join, zip(found, found[1:], found[2:], strict=False)))
    return grams if len(grams) >= SHORT else grams + found


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation; plain ASCII takes a third of the time."""
    if text.isascii():
        return text.encode().translate(_ASCII_WORDS).decode().split()
    return _WORD.findall(normalise(text))


def jaccard(first: str, second: str) -> float:
    """The exact similarity that the sketches estimate."""
    one, other = set(shingles(first)), set(shingles(second))
    return len(one & other) / len(one | other) if one or other else 1.0
