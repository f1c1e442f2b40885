"""Counting right rows and equal answers from two predictions files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from factory.errors import DataError
from factory.export import answers


def predictions(path: Path, lines: list[tuple[str, int, str, bool | None]]) -> Path:
    keys = ("id", "turn", "generated", "exact_match")
    rows: list[dict[str, Any]] = [dict(zip(keys, line, strict=True)) for line in lines]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_row_is_right_when_each_of_its_scored_turns_is(tmp_path: Path) -> None:
    adapter = predictions(
        tmp_path / "adapter",
        [("a", 2, "x", True), ("a", 4, "y", None), ("b", 2, "z", True), ("c", 2, "w", False)],
    )
    produced = predictions(
        tmp_path / "produced",
        [("c", 2, "w", False), ("a", 2, "x", True), ("a", 4, "?", None), ("b", 2, "no", False)],
    )
    found = answers.compare(adapter, produced)
    assert (found.rows, found.turns, found.equal_turns) == (3, 4, 2)
    assert (found.rows_right, found.adapter_rows_right) == (1, 2)


def test_free_text_has_no_right_rows(tmp_path: Path) -> None:
    adapter = predictions(tmp_path / "adapter", [("a", 1, "x", None)])
    found = answers.compare(adapter, adapter)
    assert (found.rows_right, found.adapter_rows_right, found.equal_turns) == (None, None, 1)


def test_answers_to_other_turns_are_refused(tmp_path: Path) -> None:
    adapter = predictions(tmp_path / "adapter", [("a", 1, "x", True)])
    produced = predictions(tmp_path / "produced", [("a", 3, "x", True)])
    with pytest.raises(DataError, match="run evaluate"):
        answers.compare(adapter, produced)
