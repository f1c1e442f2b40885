"""The gate of format: open for a good data set, closed by each single fault."""

from __future__ import annotations

from typing import Any

import pytest

from factory.artifacts import DatasetReport, SplitReport
from factory.config import Config
from factory.data.gate import judge_dataset


def split(rows: int) -> SplitReport:
    return SplitReport(rows=rows, sha256="0" * 64, turns=2 * rows, tool_calls=0, tokens=None)


def report(**changes: Any) -> DatasetReport:
    values: dict[str, Any] = {
        "read": 1250,
        "kept": 1200,
        "rejected": 20,
        "duplicates": 20,
        "filtered": 10,
        "reject_reasons": {},
        "splits": {"train": split(960), "val": split(120), "test": split(120)},
        "sources": {},
        "tools": {},
        "roles": {},
        "leakage": {"content": 0, "user_text": 0},
        "schema_checked": 1200,
        "schema_violations": 0,
    }
    return DatasetReport(**{**values, **changes})


def closed(found: DatasetReport) -> set[str]:
    return {check.id for check in judge_dataset(found, Config()) if not check.passed}


def test_a_good_data_set_passes() -> None:
    assert closed(report()) == set()


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"read": 1251}, "format.counts"),
        ({"splits": {"train": split(959), "val": split(120), "test": split(120)}}, "format.counts"),
        ({"schema_violations": 1}, "format.schema"),
        ({"schema_checked": 0}, "format.schema"),
        ({"leakage": {"content": 0, "user_text": 1}}, "format.leakage"),
        ({"leakage": {}}, "format.leakage"),
        ({"read": 3000, "rejected": 1770}, "format.rejected_share"),
        ({"splits": {"train": split(1080), "test": split(120)}}, "format.splits"),
    ],
)
def test_one_fault_closes_one_check(changes: dict[str, Any], check: str) -> None:
    assert closed(report(**changes)) == {check}


def test_too_few_rows_close_and_few_rows_warn() -> None:
    few = {"train": split(30), "val": split(10), "test": split(10)}
    checks = judge_dataset(
        report(read=50, kept=50, rejected=0, duplicates=0, filtered=0, splits=few), Config()
    )
    assert {c.id: c.severity for c in checks if not c.passed} == {
        "format.min_samples": "error",
        "format.recommended_samples": "warning",
    }


def test_nothing_at_all_is_closed() -> None:
    empty = report(read=0, kept=0, rejected=0, duplicates=0, filtered=0, splits={}, leakage={})
    assert {"format.min_samples", "format.splits", "format.rejected_share"} <= closed(empty)
