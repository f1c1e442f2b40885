"""The demo data: what is committed is what the script builds, and no split leaks into another."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import build_demo_data
import jsonschema
import pytest
from demo_data.specialists import load_phrasebook
from demo_data.values import OPEN_VALUES, split_of

RAW = Path(__file__).resolve().parents[2] / "data" / "raw"
SPECIALISTS = ("yaze_debugger", "z3ed_cli", "mesen2")
TOOLS = {
    "yaze_debugger": {"read_memory", "write_memory", "assemble"},
    "z3ed_cli": {"inspect", "extract", "import", "validate"},
    "mesen2": {"load_rom", "run", "screenshot", "read_memory"},
}

Row = dict[str, Any]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    files = [RAW / f"{name}.jsonl" for name in SPECIALISTS]
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def text_of(row: Row) -> str:
    return build_demo_data.normalised(row["messages"][-2]["content"])


def call_of(row: Row) -> tuple[str, dict[str, Any]]:
    function = row["messages"][-1]["tool_calls"][0]["function"]
    return function["name"], json.loads(function["arguments"])


def schema_of(row: Row, name: str) -> dict[str, Any]:
    """Schema of a declared tool's parameters; fails if the row does not declare it."""
    (schema,) = (
        tool["function"]["parameters"] for tool in row["tools"] if tool["function"]["name"] == name
    )
    return schema


def call_key(row: Row) -> str:
    return json.dumps(call_of(row), sort_keys=True)


def part(rows: list[Row], split: str) -> list[Row]:
    return [row for row in rows if row["split"] == split]


def kinds_of_values() -> dict[tuple[str, str], str]:
    """(function, parameter) -> kind, for parameters with open-ended values."""
    return {
        (f"{specialist.name}.{tool.name}", parameter.name): parameter.values
        for specialist in load_phrasebook().specialists
        for tool in specialist.tools
        for parameter in tool.parameters
        if isinstance(parameter.values, str)
    }


def test_committed_files_are_what_the_script_builds(tmp_path: Path) -> None:
    rows = build_demo_data.build_rows(load_phrasebook(), seed=2026)
    build_demo_data.write_rows(tmp_path, rows)
    for name in SPECIALISTS:
        assert (tmp_path / f"{name}.jsonl").read_bytes() == (RAW / f"{name}.jsonl").read_bytes()


def test_another_seed_gives_other_rows() -> None:
    book = load_phrasebook()
    assert build_demo_data.build_rows(book, seed=1) != build_demo_data.build_rows(book, seed=2)


def test_split_sizes(rows: list[Row]) -> None:
    assert Counter(row["split"] for row in rows) == {"train": 694, "val": 81, "test": 99}


def test_every_tool_is_in_every_split(rows: list[Row]) -> None:
    expected = {f"{name}.{tool}" for name, tools in TOOLS.items() for tool in tools}
    for split in ("train", "val", "test"):
        assert {call_of(row)[0] for row in part(rows, split)} == expected


def test_ids_are_unique(rows: list[Row]) -> None:
    assert len({row["id"] for row in rows}) == len(rows)


def test_rows_are_openai_tool_calls(rows: list[Row]) -> None:
    for row in rows:
        assert [message["role"] for message in row["messages"]] == ["system", "user", "assistant"]
        (call,) = row["messages"][-1]["tool_calls"]
        assert call["type"] == "function" and call["id"]
        assert isinstance(call["function"]["arguments"], str)


def test_arguments_meet_the_schema_of_a_declared_tool(rows: list[Row]) -> None:
    for row in rows:
        name, arguments = call_of(row)
        jsonschema.validate(arguments, schema_of(row, name))


def test_required_arguments_come_from_the_request(rows: list[Row]) -> None:
    for row in rows:
        name, arguments = call_of(row)
        for parameter in schema_of(row, name)["required"]:
            assert str(arguments[parameter]) in row["messages"][-2]["content"]


def test_no_request_is_in_two_splits_or_twice(rows: list[Row]) -> None:
    assert max(Counter(map(text_of, rows)).values()) == 1


def test_no_call_is_in_two_splits_or_twice(rows: list[Row]) -> None:
    assert max(Counter(map(call_key, rows)).values()) == 1


def test_open_ended_values_belong_to_one_split(rows: list[Row]) -> None:
    kinds = kinds_of_values()
    for row in rows:
        name, arguments = call_of(row)
        for parameter, value in arguments.items():
            if kind := kinds.get((name, parameter)):
                assert split_of(kind, value) == row["split"]


def test_every_split_owns_values_of_every_kind() -> None:
    rng = Random(0)
    for kind, make in OPEN_VALUES.items():
        assert {split_of(kind, make(rng)) for _ in range(500)} == {"train", "val", "test"}


def test_half_of_the_held_out_rows_are_phrased_in_new_ways(rows: list[Row]) -> None:
    for split, unseen in (("train", 0), ("val", 40), ("test", 50)):
        tags = Counter(row["tags"]["phrasing"] for row in part(rows, split))
        assert abs(tags["unseen"] - unseen) <= 1


def test_phrasings_of_the_splits_are_disjoint() -> None:
    book = load_phrasebook()
    tools = [tool for specialist in book.specialists for tool in specialist.tools]
    clauses = [item.clauses for tool in tools for item in tool.parameters if item.clauses]
    openings = {split: list(map(str, pairs)) for split, pairs in book.openings.items()}
    for phrasings in (*(tool.sentences for tool in tools), *clauses, openings):
        sets = [set(phrasings[split]) for split in ("train", "val", "test")]
        assert all(sets) and sum(map(len, sets)) == len(set.union(*sets))


def test_command_line_writes_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["build_demo_data.py", "--out", str(tmp_path), "--seed", "5"])
    assert build_demo_data.main() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}.jsonl" for name in SPECIALISTS
    )
    assert "241 rows (190 train, 24 val, 27 test)" in capsys.readouterr().out
