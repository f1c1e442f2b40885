"""Duplicates: found when equal as normalised, never across predefined splits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from factory.data import dedup
from factory.data.block import Origin, format_block
from factory.data.containers.jsonl import LineBlock
from factory.data.index import Index

ORIGIN = Origin("a.jsonl", "openai")


def row(user: str, said: str = "Hello", **more: object) -> dict:
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": said}]
    return {"messages": turns, **more}


def twins(tmp_path: Path, rows: list[dict], labels: list[int] | None = None) -> dict[int, int]:
    """Which row repeats which."""
    data = "".join(json.dumps(r) + "\n" for r in rows).encode()
    done = format_block(LineBlock(1, data, 1 << 20), ORIGIN, {})
    assert not done.rejects
    index = Index(tmp_path)
    index.append(done.records)
    lines = done.lines.splitlines(keepends=True)
    marks = np.array(labels or [0] * len(rows), dtype=np.int8)
    found = dedup.exact(index, marks, lambda wanted: (lines[n] for n in wanted.tolist()))
    return dict(zip(found.rows.tolist(), found.values.tolist(), strict=True))


def test_identical_rows(tmp_path: Path) -> None:
    assert twins(tmp_path, [row("a"), row("b"), row("a"), row("a")]) == {2: 0, 3: 0}


@pytest.mark.parametrize(
    "variant", ["what is THIS?", "What  is\nthis? ", "\u3000what is this?", "Ｗhat is this?"]
)
def test_case_space_and_compatibility_forms_do_not_count(tmp_path: Path, variant: str) -> None:
    assert twins(tmp_path, [row("What is this?"), row(variant)]) == {1: 0}


def test_another_answer_is_another_row(tmp_path: Path) -> None:
    assert twins(tmp_path, [row("a", "b"), row("a", "c")]) == {}


def test_text_with_its_spaces_elsewhere_is_another_row(tmp_path: Path) -> None:
    assert twins(tmp_path, [row("add 1 12"), row("add 11 2")]) == {}


def test_other_tools_make_another_row(tmp_path: Path) -> None:
    tools = [{"name": "look", "parameters": {"type": "object"}}]
    assert twins(tmp_path, [row("a"), row("a", tools=tools)]) == {}


def test_text_moved_to_another_turn_is_another_row(tmp_path: Path) -> None:
    assert twins(tmp_path, [row("ab", "c"), row("a", "bc")]) == {}


def test_a_copy_in_another_predefined_split_is_no_duplicate(tmp_path: Path) -> None:
    assert twins(tmp_path, [row("a"), row("A"), row("a")], labels=[0, 2, 0]) == {2: 0}


def test_only_the_later_of_equal_ids_are_repeated() -> None:
    ids = np.array([5, 0, 5, 7, 0, 5], dtype=np.uint64)
    kept = np.array([True, True, True, True, True, False])
    assert np.flatnonzero(dedup.repeated(ids, kept)).tolist() == [2]
