"""The release of the demo, as a user finds it, and what a wrong file in it would have closed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from factory import layers
from factory.artifacts import Waiver
from factory.console import Console
from factory.context import Context
from factory.export import gate, proof
from factory.export.release import is_intact
from factory.export.report import ReleaseReport
from factory.stages import export
from factory.workspace import Workspace
from tests.conftest import ran

pytestmark = pytest.mark.slow

RELEASE = Path("models/release/mcp-tools-v0.1.0")
GGUF = "mcp-tools-v0.1.0-q8_0.gguf"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def context_of(folder: Path) -> Context:
    workspace = Workspace(folder)
    return Context(workspace, layers.load(workspace.config_path).config, Console(quiet=True))


@pytest.fixture
def release(finished_demo: Path) -> Path:
    return finished_demo / RELEASE


def test_the_release_holds_what_the_contract_names_and_no_pickle(release: Path) -> None:
    found = {path.relative_to(release).as_posix() for path in release.rglob("*") if path.is_file()}
    assert {
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "merged/model.safetensors",
        "merged/config.json",
        f"gguf/{GGUF}",
        "Modelfile",
        "README.md",
        "metadata.json",
        "specialist_config.json",
        "adapter/metadata.json",
        "adapter/specialist_config.json",
        "verification.json",
        "SHA256SUMS",
    } <= found
    assert {Path(name).suffix for name in found} <= {
        *(".safetensors", ".json", ".jinja", ".gguf", ".md", ""),
    }


def test_sha256sum_agrees(release: Path) -> None:
    subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=release, check=True
    )


def test_every_file_answered_all_test_rows(finished_demo: Path, release: Path) -> None:
    report = ReleaseReport.model_validate(read(release / "verification.json"))
    for made in (report.merged, *report.gguf.values()):
        assert made.metrics.rows == made.answers.rows == 99
        lines = (finished_demo / made.predictions).read_text().splitlines()
        assert len(lines) == made.answers.turns


def test_the_gguf_is_within_one_row_of_the_adapter(release: Path) -> None:
    answers = read(release / "verification.json")["gguf"]["q8_0"]["answers"]
    assert answers["adapter_rows_right"] - answers["rows_right"] <= 1


def test_the_gate_recorded_the_proof(finished_demo: Path) -> None:
    checks = read(finished_demo / ".factory/gates/export.json")["checks"]
    assert {check["id"] for check in checks} >= {
        "export.adapter",
        "export.merged.logits",
        "export.gguf.q8_0",
        "export.gguf.q8_0.tokens",
        "export.leaks",
    }
    assert all(check["passed"] for check in checks if check["severity"] == "error")


def test_metadata_says_where_the_model_came_from(finished_demo: Path, release: Path) -> None:
    metadata = read(release / "metadata.json")
    stats = read(finished_demo / "metrics/training-stats.json")
    dataset = read(finished_demo / "metrics/dataset.json")
    assert metadata["expert"]["version"] == "0.1.0"
    assert all((release / path).exists() for path in metadata["artifacts"].values())
    assert metadata["training"]["duration_seconds"] == stats["duration_seconds"]
    assert metadata["training"]["samples"] == 694
    assert metadata["dataset"]["test"]["sha256"] == dataset["splits"]["test"]["sha256"]
    for stage in ("format", "baseline", "finetune", "evaluate"):
        gate_file = read(finished_demo / f".factory/gates/{stage}.json")
        assert metadata["gates"][stage]["seal"] == gate_file["seal"]


def test_times_are_in_metadata_only(release: Path) -> None:
    clock = re.compile(r"\d\d:\d\d:\d\d")
    texts = [path for path in release.iterdir() if path.is_file() and path.name != "metadata.json"]
    assert [path.name for path in texts if clock.search(path.read_text())] == []


def test_the_card_has_the_numbers_of_the_manifests(finished_demo: Path, release: Path) -> None:
    card = (release / "README.md").read_text()
    evaluation = read(finished_demo / "metrics/evaluation.json")
    baseline = read(finished_demo / "metrics/baseline.json")
    report = read(release / "verification.json")
    columns = [baseline["metrics"], evaluation["metrics"], report["merged"]["metrics"]]
    columns.append(report["gguf"]["q8_0"]["metrics"])
    for metric, title in (("exact_match", "exact match"), ("parameter_f1", "parameter F1")):
        cells = " | ".join(f"{values[metric]:.3f}" for values in columns)
        change = evaluation["improvement"][metric]
        interval = f"{change['mean']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"
        assert f"| {title} | {cells} | {interval} |" in card
    for tool in evaluation["per_tool"]:
        assert f"| {tool} | " in card
    assert "| unseen | " in card and "| seen | " in card


def test_the_python_of_the_card_runs(finished_demo: Path, release: Path) -> None:
    card = (release / "README.md").read_text()
    [transformers, adapter] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    # The card is read beside the release, the adapter's base in the workspace.
    program = transformers + adapter.replace('"models/base"', f'"{finished_demo / "models/base"}"')
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=release, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_waiver_of_the_last_gate_is_quoted_in_the_card(demo: Path) -> None:
    context, release = context_of(demo), demo / RELEASE
    [first, *others] = export.judge(context)
    waiver = Waiver(check=first.id, reason="sent on", by="me", at="now", value=1, threshold=0)
    closed = first.model_copy(update={"passed": False})
    waived = closed.model_copy(update={"waived": waiver})
    for checks, said in (
        ([closed, *others], f"NOT VERIFIED: `{first.id}`"),
        ([waived, *others], f"Waived by a person: `{first.id}` (value 1, threshold 0): sent on"),
    ):
        changed = export.publish(context, checks)
        assert sorted(changed) == [f"{RELEASE}/README.md", f"{RELEASE}/SHA256SUMS"]
        assert (release / "README.md").read_text().count(said) == 1
        assert is_intact(release)
        assert export.publish(context, checks) == {}
    assert "NOT VERIFIED" not in (release / "README.md").read_text()
    (release / "Modelfile").write_text("changed")
    export.publish(context, [first, *others])
    assert not is_intact(release), "a new card must not vouch for another file"


def test_exporting_again_gives_the_same_bytes(demo: Path) -> None:
    before = (demo / RELEASE / "SHA256SUMS").read_text()
    [outcome] = ran("run", "export", "--force", cwd=demo)["stages"]
    assert outcome["action"] == "ran"
    assert (demo / RELEASE / "SHA256SUMS").read_text() == before
    reason = read(demo / ".factory/gates/export.json")["decisions"]["release"]["reason"]
    assert reason == "the same content as before"


def test_the_base_model_in_place_of_the_merged_one_is_found(demo: Path) -> None:
    """What a merge that lost the adapter would look like: same shapes, same tokenizer."""
    context = context_of(demo)
    merged = context.path("save.merged_path")
    shutil.copyfile(demo / "models/base/model.safetensors", merged / "model.safetensors")
    found = proof.prove(
        context,
        adapter=context.path("save.lora_path"),
        merged=merged,
        gguf={"q8_0": demo / RELEASE / "gguf" / GGUF},
    )
    report = ReleaseReport.model_validate(read(demo / RELEASE / "verification.json"))
    assert found.parity["q8_0"] == report.gguf["q8_0"].parity, "the GGUF is what it was"
    report.merged.parity = found.parity["merged"]
    closed = [check.id for check in gate.judge_release(report, context.config) if check.closed]
    assert closed == ["export.merged.logits", "export.merged.agreement"]


def test_a_damaged_verification_closes_the_stage(demo: Path) -> None:
    path = demo / RELEASE / "verification.json"
    path.write_text(path.read_text().replace('"not_finite": []', '"not_finite": null'))
    with pytest.raises(Exception, match="not a valid ReleaseReport"):
        export.judge(context_of(demo))


def test_a_dry_run_says_what_would_be_copied(finished_demo: Path) -> None:
    [line] = export.plan(context_of(finished_demo))
    assert re.fullmatch(
        r"copies \d+ files, \d+\.\d MB, into models/release/mcp-tools-v0\.1\.0", line
    )
