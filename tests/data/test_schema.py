"""Written rows are read back: small files whole, large ones at places all over them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from factory.data import schema

GOOD = {
    "conversations": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}],
    "id": "1",
    "source": "a",
}


def written(path: Path, rows: int, bad: range) -> Path:
    line = orjson.dumps(GOOD) + b"\n"
    wrong = line.replace(b'"id"', b'"di"')
    path.write_bytes(b"".join(wrong if n in bad else line for n in range(rows)))
    return path


@pytest.mark.parametrize(
    "change",
    [
        {"extra": 1},
        {"id": 1},
        {"conversations": [{"role": "human", "content": "Hi"}]},
        {"conversations": [{"role": "user", "content": None}]},
        {"conversations": [{"role": "user", "content": "", "weight": 1}]},
    ],
)
def test_what_is_not_canonical(change: dict) -> None:
    assert schema.canonical(orjson.dumps(GOOD))
    assert not schema.canonical(orjson.dumps({**GOOD, **change}))


def test_a_small_file_is_read_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", 7000, range(6990, 6991))
    assert schema.violations([path], 1) == (7000, 1)


def test_a_large_file_is_looked_at_all_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(schema, "SAMPLE", 200)
    tail = written(tmp_path / "tail.jsonl", 10_000, range(9000, 10_000))
    checked, bad = schema.violations([tail], 1)
    assert 150 <= checked <= 201 and 0 < bad < checked / 2
    assert schema.violations([tail], 1) == (checked, bad)
    assert schema.violations([written(tmp_path / "good.jsonl", 10_000, range(0))], 1)[1] == 0


def test_no_row_is_checked_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "WHOLE_BYTES", 0)
    path = written(tmp_path / "few.jsonl", 5, range(0))
    assert schema.violations([path], 1)[0] <= 5
