"""The runner on two toy stages: order, staleness, gates, waivers, lock, tampering."""

import fcntl
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factory import config, ledger, pipeline, provenance, runner
from factory.artifacts import Check
from factory.console import Console
from factory.context import Context
from factory.errors import ConfigError, DataError, GateClosed, StaleInput, WorkspaceLocked
from factory.waiving import Waive
from factory.workspace import Workspace
from tests import toy_first, toy_second
from tests.toy_stages import FIRST, SECOND

ALL = ["format", "baseline"]
Make = Callable[..., Context]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Contexts on one workspace of toy stages; keyword arguments change the configuration."""
    monkeypatch.setattr(pipeline, "STAGES", (FIRST, SECOND))
    monkeypatch.setattr(runner, "_revisions", lambda context: {})
    (tmp_path / "raw.txt").write_text("hello")

    def context(force: bool = False, **sections: Any) -> Context:
        values = {"dataset": {"min_samples": 1}, **sections}
        workspace = Workspace(tmp_path)
        return Context(workspace, config.validate(values), Console(quiet=True), force)

    return context


def runs(context: Context) -> list[str]:
    return (context.workspace.root / "runs.txt").read_text().split()


def go(context: Context, names: list[str] | None = None, **options: Any) -> list[str]:
    outcomes = runner.run(context, names or ALL, waivers=options.pop("waivers", []), **options)
    return [outcome.action for outcome in outcomes]


def test_runs_in_order_and_leaves_gate_files(make: Make) -> None:
    context = make()
    assert go(context) == ["ran", "ran"]
    gate = ledger.read_gate(context.workspace, "format")
    assert gate is not None
    assert gate.status == "passed"
    assert set(gate.outputs) == {"first.txt"}
    assert gate.decisions["case"].reason == "toy"
    assert gate.seed == 3407


def test_nothing_changed_does_nothing(make: Make) -> None:
    go(make())
    assert go(make()) == ["skipped", "skipped"]
    assert runs(make()) == ["first", "second"]


def test_a_changed_input_reruns_what_depends_on_it(make: Make) -> None:
    go(make())
    (make().workspace.root / "raw.txt").write_text("other")
    assert go(make()) == ["ran", "ran"]


def test_a_rerun_with_the_same_result_stops_there(make: Make) -> None:
    go(make())
    (make().workspace.root / "raw.txt").write_text("HELLO")
    assert go(make()) == ["ran", "skipped"]


def test_a_changed_setting_reruns_and_is_named(make: Make) -> None:
    go(make())
    outcomes = runner.run(make(project={"name": "new"}), ALL, waivers=[])
    assert outcomes[0].reason == "project.name changed from 'my-model' to 'new'"


def test_a_deleted_gate_file_reruns_the_stage(make: Make) -> None:
    go(make())
    make().workspace.gate_path("baseline").unlink()
    assert go(make()) == ["skipped", "ran"]


def test_a_deleted_output_reruns_the_stage(make: Make) -> None:
    go(make())
    (make().workspace.root / "second.txt").unlink()
    assert go(make()) == ["skipped", "ran"]


def test_force_runs_again(make: Make) -> None:
    go(make())
    assert go(make(force=True), ["format"]) == ["ran"]


def test_a_stage_needs_the_one_before(make: Make) -> None:
    with pytest.raises(GateClosed, match="needs format") as raised:
        go(make(), ["baseline"])
    assert raised.value.hint == "run: python -m factory run format"


def test_a_stage_refuses_changed_input(make: Make) -> None:
    go(make())
    path = make().workspace.root / "first.txt"
    path.write_text("JELLO")
    with pytest.raises(StaleInput, match=r"first\.txt has changed"):
        go(make(), ["baseline"])


def test_an_input_is_hashed_even_if_its_inode_looks_untouched(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(make())
    (make().workspace.root / "first.txt").write_text("JELLO")
    monkeypatch.setattr(ledger, "untouched", lambda path, known: True)
    with pytest.raises(StaleInput, match=r"first\.txt has changed"):
        go(make(), ["baseline"])


def test_a_closed_gate_stops_and_stays_closed(make: Make) -> None:
    strict = {"dataset": {"min_samples": 99}}
    for _ in range(2):
        with pytest.raises(GateClosed, match=r"format\.min_samples: 5 letters"):
            go(make(**strict))
    assert runs(make()) == ["first"]


def test_a_threshold_is_judged_again_without_running(make: Make) -> None:
    with pytest.raises(GateClosed):
        go(make(dataset={"min_samples": 99}))
    assert go(make()) == ["skipped", "ran"]
    assert runs(make()) == ["first", "second"]


def test_a_waiver_opens_the_gate_and_is_kept(make: Make) -> None:
    strict = {"dataset": {"min_samples": 99}}
    waive = [Waive("format.min_samples", "small on purpose")]
    go(make(**strict), waivers=waive)
    gate = ledger.read_gate(make().workspace, "format")
    assert gate is not None
    assert gate.status == "waived"
    assert gate.waivers[0].reason == "small on purpose"
    assert go(make(**strict)) == ["skipped", "skipped"]


def test_a_stage_tells_in_its_own_files_what_was_waived(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(context: Context, checks: list[Check]) -> dict[str, Path]:
        told = context.workspace.root / "first.txt"
        told.write_text("HELLO " + str([check.waived is not None for check in checks]))
        return {"first.txt": told}

    monkeypatch.setattr(toy_first, "publish", publish, raising=False)
    strict = {"dataset": {"min_samples": 99}}
    with pytest.raises(GateClosed, match=r"run format --waive format\.min_samples"):
        go(make(**strict), ["format"])
    go(make(**strict), ["format"], waivers=[Waive("format.min_samples", "small on purpose")])
    assert (make().workspace.root / "first.txt").read_text() == "HELLO [True]"
    assert go(make(**strict)) == ["skipped", "ran"], "the file that was told anew is known"
    assert runs(make()) == ["first", "second"]


def test_a_waiver_is_kept_once_however_long_the_run_takes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = itertools.count()
    monkeypatch.setattr(provenance, "now", lambda: f"2026-01-01T00:00:{next(seconds):02}+00:00")
    strict = {"dataset": {"min_samples": 99}}
    for _ in range(2):
        go(make(**strict), waivers=[Waive("format.min_samples", "small on purpose")])
    gate = ledger.read_gate(make().workspace, "format")
    assert gate is not None
    assert len(gate.waivers) == 1


def test_a_waiver_does_not_cover_another_value(make: Make) -> None:
    strict = {"dataset": {"min_samples": 99}}
    go(make(**strict), waivers=[Waive("format.min_samples", "small on purpose")])
    (make().workspace.root / "raw.txt").write_text("less")
    with pytest.raises(GateClosed):
        go(make(**strict))
    gate = ledger.read_gate(make().workspace, "format")
    assert gate is not None
    assert [waiver.value for waiver in gate.waivers] == [5]


def test_a_waiver_for_no_known_check_is_an_error(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'format\.min_samples'"):
        go(make(), waivers=[Waive("format.min_sample", "typo")])


def test_dry_run_writes_nothing(make: Make) -> None:
    assert go(make(), dry_run=True) == ["would run", "would run"]
    assert not (make().workspace.root / "first.txt").exists()


def test_dry_run_works_before_there_is_anything_to_plan_on(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(context: Context) -> list[str]:
        raise DataError("no such file")

    monkeypatch.setattr(toy_second, "plan", plan, raising=False)
    assert go(make(), dry_run=True) == ["would run", "would run"]


def test_two_runs_exclude_each_other(make: Make) -> None:
    workspace = make().workspace
    with workspace.lock(), pytest.raises(WorkspaceLocked, match="is running"):
        go(make())
    with workspace.lock_path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("file", ["raw.txt", "first.txt", "second.txt"])
def test_check_finds_one_changed_byte(make: Make, file: str) -> None:
    go(make())
    path = make().workspace.root / file
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    verdicts = runner.check(make(), ALL)
    assert any(verdict.kind == "stale" and file in str(verdict.problem) for verdict in verdicts)


def test_check_finds_every_changed_byte_of_a_gate_file(make: Make) -> None:
    go(make())
    path = make().workspace.gate_path("format")
    original = path.read_bytes()
    for place in range(0, len(original), 7):
        changed = bytearray(original)
        changed[place] ^= 1
        path.write_bytes(changed)
        verdict = runner.check(make(), ["format"])[0]
        assert verdict.kind == "stale", f"byte {place}: {original[place : place + 20]!r}"


def test_check_of_an_untouched_workspace_passes(make: Make) -> None:
    go(make())
    assert [verdict.kind for verdict in runner.check(make(), ALL)] == ["passed", "passed"]


def test_check_without_a_gate_file_fails_closed(make: Make) -> None:
    assert [verdict.kind for verdict in runner.check(make(), ALL)] == ["missing", "missing"]


def test_an_edited_gate_file_with_a_valid_shape_is_refused(make: Make) -> None:
    with pytest.raises(GateClosed):
        go(make(dataset={"min_samples": 99}))
    path = make().workspace.gate_path("format")
    values = json.loads(path.read_text())
    values["status"] = "passed"
    path.write_text(json.dumps(values))
    with pytest.raises(StaleInput, match="changed after it was written"):
        go(make(dataset={"min_samples": 99}), ["baseline"])


def test_a_damaged_gate_file_reruns_its_own_stage(make: Make) -> None:
    go(make())
    make().workspace.gate_path("format").write_text("{")
    assert go(make()) == ["ran", "skipped"]


def test_a_waiver_for_no_stage_is_refused_before_anything_runs(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"no gate check 'formt\.min'"):
        go(make(), waivers=[Waive("formt.min", "typo")])
    assert not (make().workspace.root / "runs.txt").exists()
