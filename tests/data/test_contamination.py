"""Rows that repeat a benchmark are found, rows that share a phrase with it are not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from factory.data.contamination import Benchmarks

QUESTION = (
    "Janet's ducks lay sixteen eggs per day and she eats three for breakfast every morning "
    "before she bakes muffins for her friends with four of them"
)
SHORT = "What is the capital of Assyria?"


@pytest.fixture
def benchmarks(tmp_path: Path) -> Benchmarks:
    path = tmp_path / "bench.jsonl"
    rows = [{"question": QUESTION, "answer": "18"}, {"nested": {"list": [SHORT, "Yes."]}}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Benchmarks.read([path], 1 << 20)


@pytest.mark.parametrize(
    ("said", "repeats"),
    [
        (QUESTION, True),
        (QUESTION.upper().replace("'", "’").replace(" and ", ", and "), True),
        ("Solve this. " + " ".join(QUESTION.split()[3:20]) + ". Now!", True),
        (" ".join(QUESTION.split()[:11]), False),
        (SHORT, True),
        ("what is the capital of assyria", True),
        ("What is the capital of Babylonia?", False),
        ("Yes.", False),
    ],
)
def test_row_against_benchmark(benchmarks: Benchmarks, said: str, repeats: bool) -> None:
    turns = [{"role": "user", "content": said}, {"role": "assistant", "content": "So it is."}]
    line = json.dumps({"conversations": turns}).encode()
    assert (len(benchmarks.repeated_by([(0, line)]).rows) == 1) is repeats
