"""A sequence of experts: one workspace each, resumable, one summary."""

import json
from pathlib import Path

import pytest

from tests.conftest import factory


@pytest.fixture
def around(tmp_path: Path) -> Path:
    done = factory("init", "ws", "--sample", "--name", "mtg", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    root = tmp_path / "ws"
    sample = (root / "data" / "raw" / "sample.jsonl").read_text()
    for name in ("reason", "explain"):
        (root / "data" / "raw" / f"{name}_examples.jsonl").write_text(sample)
    (root / "presets.toml").write_text('[presets.two]\nsequence = ["mtg-reason", "mtg-explain"]\n')
    return root


def test_each_expert_gets_its_own_workspace(around: Path) -> None:
    done = factory("run", "format", "--preset", "two", "--json", cwd=around)
    assert done.returncode == 0, done.stderr
    results = {member["preset"]: member["result"] for member in json.loads(done.stdout)["members"]}
    assert results == {"mtg-reason": "done", "mtg-explain": "done"}
    for name in results:
        gate = json.loads((around / "experts" / name / ".factory/gates/format.json").read_text())
        assert gate["status"] == "passed"
        assert gate["decisions"]["preset"]["value"] == name
    summary = json.loads((around / "experts" / "summary.json").read_text())
    assert [member["preset"] for member in summary["members"]] == ["mtg-reason", "mtg-explain"]
    again = factory("run", "format", "--preset", "two", "--json", cwd=around)
    assert {m["result"] for m in json.loads(again.stdout)["members"]} == {"up to date"}
    inside = factory("status", "--json", cwd=around / "experts" / "mtg-explain")
    assert inside.returncode == 0, inside.stderr


def test_a_closed_gate_ends_its_own_member_only(around: Path) -> None:
    few = (around / "data" / "raw" / "reason_examples.jsonl").read_text().splitlines()[:30]
    (around / "data" / "raw" / "reason_examples.jsonl").write_text("\n".join(few) + "\n")
    done = factory("run", "format", "--preset", "two", cwd=around)
    assert done.returncode == 3
    assert "1 of 2 experts" in done.stderr
    summary = json.loads((around / "experts" / "summary.json").read_text())
    assert [member["result"] for member in summary["members"]] == ["gate closed", "done"]


def test_a_dry_run_writes_nothing(around: Path) -> None:
    words = ("run", "all", "--preset", "two", "--dry-run", "--set", "model.load_in_4bit=false")
    done = factory(*words, cwd=around)
    assert done.returncode == 0, done.stderr
    assert not (around / "experts").exists()


def test_a_sequence_takes_no_waivers(around: Path) -> None:
    done = factory(
        *("run", "format", "--preset", "two", "--waive", "format.x", "--reason", "y"), cwd=around
    )
    assert done.returncode == 2
    assert "no waivers" in done.stderr


def test_a_sequence_of_unknown_presets_is_refused(around: Path) -> None:
    (around / "presets.toml").write_text('[presets.two]\nsequence = ["mtg-reson"]\n')
    done = factory("run", "format", "--preset", "two", cwd=around)
    assert done.returncode == 2
    assert "did you mean 'mtg-reason'" in done.stderr
