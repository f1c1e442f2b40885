"""Rows of two files are matched by content."""

from __future__ import annotations

import json
from pathlib import Path

from factory.data.compare import compare


def write(path: Path, rows: dict[str, str]) -> Path:
    turns = {name: [{"role": "user", "content": said}] for name, said in rows.items()}
    lines = [json.dumps({"conversations": turns[name], "id": name}) for name in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_rows_are_same_moved_or_on_one_side(tmp_path: Path) -> None:
    a = write(tmp_path / "a", {"1": "one", "2": "two", "3": "three"})
    b = write(tmp_path / "b", {"1": "one", "9": "two", "4": "four"})
    found = compare(a, b)
    assert (found.same, found.moved, found.only_a, found.only_b) == (1, 1, 1, 1)
    assert (found.examples_a, found.examples_b) == (["3"], ["4"])
