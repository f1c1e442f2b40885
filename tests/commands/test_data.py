"""`factory data`: a row, the statistics, a comparison of what format wrote."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from factory.cli import main
from tests.conftest import ROOT

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def formatted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    (root / "data" / "raw").mkdir(parents=True)
    shutil.copytree(ROOT / "models" / "base", root / "models" / "base")
    rows = [{"question": f"question {n}", "answer": "yes"} for n in range(40)]
    (root / "data" / "raw" / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (root / "training-config.json").write_text('{"dataset": {"min_samples": 1}}')
    assert main(["-C", str(root), "run", "format"]) == 0
    return root


def test_a_row_is_shown_with_what_is_trained(formatted: Path, capsys: Captured) -> None:
    assert main(["-C", str(formatted), "data", "show", "--row", "2", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    trained = [part["text"] for part in shown["segments"] if part["trained"]]
    assert len(trained) == 1
    assert trained[0].startswith("yes")


def test_a_row_that_is_not_there(formatted: Path, capsys: Captured) -> None:
    assert main(["-C", str(formatted), "data", "show", "--row", "99"]) == 1
    assert "no row '99'" in capsys.readouterr().err


def test_statistics_are_the_report(formatted: Path, capsys: Captured) -> None:
    assert main(["-C", str(formatted), "data", "stats", "--json"]) == 0
    report = json.loads((formatted / "metrics" / "dataset.json").read_text())
    assert json.loads(capsys.readouterr().out) == report
    assert main(["-C", str(formatted), "data", "stats"]) == 0
    assert "data/raw/a.jsonl" in capsys.readouterr().out


def test_two_splits_are_compared(formatted: Path, capsys: Captured) -> None:
    files = [str(formatted / "data" / "splits" / f"{name}.jsonl") for name in ("train", "train")]
    assert main(["data", "diff", *files, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["same"], found["only_a"], found["only_b"]) == (32, 0, 0)


def test_statistics_need_a_run(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "training-config.json").write_text("{}")
    assert main(["-C", str(tmp_path), "data", "stats"]) == 2
    assert "run format" in capsys.readouterr().err
