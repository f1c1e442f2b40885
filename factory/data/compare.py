"""What two files of canonical rows have in common, by content."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import orjson
from xxhash import xxh3_128_digest

from factory import storage


class Difference(NamedTuple):
    """Numbers of rows, and the ids of the first rows that only one side has."""

    same: int
    moved: int
    only_a: int
    only_b: int
    examples_a: list[str]
    examples_b: list[str]


EXAMPLES = 5


def compare(a: Path, b: Path) -> Difference:
    """Compare two files of canonical rows; `moved` rows have the same content and another id."""
    left, right = _rows(a), _rows(b)
    common = left.keys() & right.keys()
    only_a = [left[key] for key in left if key not in common]
    only_b = [right[key] for key in right if key not in common]
    moved = sum(left[key] != right[key] for key in common)
    return Difference(
        len(common) - moved, moved, len(only_a), len(only_b), only_a[:EXAMPLES], only_b[:EXAMPLES]
    )


def _rows(path: Path) -> dict[bytes, str]:
    """Content key -> id of every row."""
    found: dict[bytes, str] = {}
    with storage.open_regular(path) as file:
        for line in file:
            row = orjson.loads(line)
            content = [row["conversations"], row.get("tools")]
            found[xxh3_128_digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))] = row["id"]
    return found
