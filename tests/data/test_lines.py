"""Canonical lines where they lie: read in order, picked by row, gone once they are drained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from factory.data import lines
from factory.data.lines import Segment

LINES = [b"%d\n" % (10**number) for number in range(10)]
SIZES = np.array(list(map(len, LINES)), dtype="<u4")


@pytest.fixture
def segments(tmp_path: Path) -> list[Segment]:
    """Three segments, of which the first and the last share a file."""
    first, second, third = LINES[:4], LINES[4:7], LINES[7:]
    (tmp_path / "a").write_bytes(b"".join(first + third))
    (tmp_path / "b").write_bytes(b"".join(second))
    size = sum(map(len, first))
    return [
        Segment(tmp_path / "a", 0, size, 4),
        Segment(tmp_path / "b", 0, sum(map(len, second)), 3),
        Segment(tmp_path / "a", size, sum(map(len, third)), 3),
    ]


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_all_lines_come_in_order(
    segments: list[Segment], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BATCH_ROWS", batch)
    found = list(lines.read(segments, SIZES))
    assert b"".join(part.data for part in found) == b"".join(LINES)
    assert [part.first for part in found] == sorted({part.first for part in found})


def test_picked_lines_are_those_of_the_rows(segments: list[Segment]) -> None:
    rows = np.array([0, 3, 4, 9])
    assert list(lines.pick(segments, SIZES, rows)) == [LINES[row] for row in rows]


def test_a_file_is_gone_when_its_last_line_was_read(segments: list[Segment]) -> None:
    left = [{segment.path.name for segment in segments if segment.path.exists()}]
    for _ in lines.read(segments, SIZES, drain=True):
        left.append({segment.path.name for segment in segments if segment.path.exists()})
    assert left == [{"a", "b"}, {"a", "b"}, {"a", "b"}, {"a"}]
    assert not segments[0].path.exists()
