"""Copies of test rows, hidden in train and in a second file, are found; unrelated rows are not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.data.test_near import CHANGES, text
from tests.stages.test_format import closed, report, run, workspace

pytest.importorskip("rensa")

COPIES = 500
EXACT = 100


def row(said: str, number: int) -> str:
    turns = [
        {"role": "user", "content": said},
        {"role": "assistant", "content": text(50_000 + number, 12)},
    ]
    return json.dumps({"messages": turns}) + "\n"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], set[str]]:
    """A test split of 600 rows; copies of 500 of them, half in train and half in a second file,
    a fifth of them exact and the others changed in four ways; 500 unrelated rows in train."""
    draw = random.Random(7)
    changes = [lambda said, _: said, *CHANGES]
    copies = [
        row(changes[n // EXACT](text(n), draw), n)  # type: ignore[operator]
        for n in range(COPIES)
    ]
    files = {
        "test.jsonl": "".join(row(text(n), n) for n in range(COPIES + 100)),
        "train.jsonl": "".join(row(text(n), n) for n in range(10_000, 10_500))
        + "".join(copies[::2]),
        "second.jsonl": "".join(copies[1::2]),
        "val.jsonl": "".join(row(text(n), n) for n in range(20_000, 20_050)),
    }
    folder: Path = tmp_path_factory.mktemp("planted")
    context = workspace(folder, files, near_duplicates="together")
    run(context)
    return report(context), closed(context)


def test_every_exact_copy_is_found(found: tuple[dict[str, Any], set[str]]) -> None:
    assert found[0]["leakage"]["content"] == EXACT


def test_98_of_100_changed_copies_are_found_and_nothing_else(
    found: tuple[dict[str, Any], set[str]],
) -> None:
    # One pair a copy: more than 500 would be unrelated rows that were taken for copies.
    assert 0.98 * COPIES <= found[0]["leakage"]["near_duplicate"] <= COPIES


def test_the_gate_is_closed(found: tuple[dict[str, Any], set[str]]) -> None:
    assert "format.leakage" in found[1]
