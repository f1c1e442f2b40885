"""Greedy answers of a produced file beside the adapter's, from two predictions files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from factory import storage
from factory.errors import DataError
from factory.export.report import Answers


def compare(adapter: Path, produced: Path) -> Answers:
    """Count equal answers and right rows; DataError unless both answer the very same turns."""
    ours, theirs = _by_turn(adapter), _by_turn(produced)
    if ours.keys() != theirs.keys():
        raise DataError(
            f"answers other turns than {adapter.name}",
            where=str(produced),
            hint="run: python -m factory run evaluate --force",
        )
    return Answers(
        rows=len({row for row, _turn in ours}),
        turns=len(ours),
        equal_turns=sum(ours[turn]["generated"] == theirs[turn]["generated"] for turn in ours),
        rows_right=_rows_right(theirs.values()),
        adapter_rows_right=_rows_right(ours.values()),
    )


def _by_turn(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    return {(line["id"], line["turn"]): line for line in storage.read_jsonl(path)}


def _rows_right(lines: Iterable[dict[str, Any]]) -> int | None:
    """Rows whose scored turns are all right; None where no turn is right or wrong."""
    right: dict[str, bool] = {}
    for line in lines:
        if line["exact_match"] is not None:
            right[line["id"]] = right.get(line["id"], True) and line["exact_match"]
    return sum(right.values()) if right else None
