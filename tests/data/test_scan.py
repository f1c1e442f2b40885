"""Chunks come in the order of the rows, whoever looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from factory.data import scan as module
from factory.data.index import RECORD
from factory.data.lines import Segment
from factory.data.scan import scan
from factory.data.spool import Spool


def lengths(lines: Sequence[bytes]) -> list[int]:
    return list(map(len, lines))


def test_several_workers_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_PER_WORKER", 100)
    monkeypatch.setattr(module, "CHUNK_ROWS", 37)
    with Spool(tmp_path) as spool:
        lines = [b"x" * (n % 50) + b"\n" for n in range(500)]
        path = spool.folder / "part.jsonl"
        path.write_bytes(b"".join(lines))
        records = np.zeros(len(lines), RECORD)
        records["size"] = list(map(len, lines))
        spool.add(Segment(path, 0, sum(map(len, lines)), len(lines)), records)
        rows = np.arange(0, 500, 2)
        found = [list(scan(spool, rows, lengths, workers)) for workers in (1, 2)]
    for chunks in found:
        assert np.array_equal(np.concatenate([chunk for chunk, _ in chunks]), rows)
        assert [n for _, part in chunks for n in part] == [n % 50 + 1 for n in rows.tolist()]
