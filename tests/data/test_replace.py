"""A replacement is indexed as if it had been read from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import pytest

from factory.data.block import Origin, format_block
from factory.data.canonical import Profile
from factory.data.containers.jsonl import LineBlock
from factory.data.index import RECORD
from factory.data.lines import Segment
from factory.data.replace import replace
from factory.data.rows import KEPT, REPLACED, Rows
from factory.data.sources import SourceFile
from factory.data.spool import Spool
from factory.data.work import Done

TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = {"type": "function", "function": {"name": "look", "arguments": {"a": 1.5}}}
ROWS = [
    {"messages": [{"role": "user", "content": "Hé  there"}, {"role": "assistant", "content": "x"}]},
    {
        "messages": [
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "1"},
            {"role": "user", "content": "Two"},
            {"role": "assistant", "content": "2"},
        ],
        "tools": [TOOL],
        "id": "seven",
        "group": "g",
        "split": "test",
        "tags": {"kind": "a"},
    },
]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    found = Spool(tmp_path)
    text = b"".join(orjson.dumps(row) + b"\n" for row in ROWS)
    profiles: dict[Profile, int] = {}
    done = format_block(LineBlock(1, text, 1 << 20), Origin("a.jsonl", "openai"), profiles)
    path = found.folder / "part.jsonl"
    path.write_bytes(done.lines)
    segment = Segment(path, 0, len(done.lines), len(ROWS))
    found.append(Done(0, segment, done.records, list(profiles), done.rejects))
    return found


def test_the_record_of_the_same_line_is_the_same(spool: Spool, tmp_path: Path) -> None:
    rows = Rows(spool.index, spool.profiles(), [SourceFile(tmp_path, "a.jsonl", 0)])
    every = np.arange(len(ROWS))
    lines = list(spool.pick(every))
    replace(spool, rows, list(zip(every.tolist(), lines, strict=True)), renamed=False)
    for name in RECORD.names or ():
        column = spool.index.column(name)
        assert column[:2].tolist() == column[2:].tolist(), name
    assert list(spool.pick(every + 2)) == lines
    assert rows.fate.tolist() == [REPLACED, REPLACED, KEPT, KEPT]
    assert rows.added.values.tolist() == [0, 1]
