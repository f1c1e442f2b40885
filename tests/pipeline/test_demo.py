"""The demo as a user runs it: every artifact of the contract, and the evidence in it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from factory import schemas, storage
from tests.conftest import SECRETS, factory, ran

pytestmark = pytest.mark.slow

CONTRACT = (
    "data/splits/train.jsonl",
    "data/splits/val.jsonl",
    "data/splits/test.jsonl",
    "data/rejects.jsonl",
    "metrics/dataset.json",
    "metrics/baseline.json",
    "metrics/predictions/baseline.jsonl",
    "scripts/train.py",
    "scripts/train.json",
    "models/checkpoints/lora/adapter_model.safetensors",
    "models/checkpoints/merged/model.safetensors",
    "models/quantized/mcp-tools-q8_0.gguf",
    "metrics/training-stats.json",
    ".factory/training-status.json",
    ".factory/training-history.jsonl",
    "logs/training.log",
    "metrics/evaluation.json",
    "metrics/predictions/evaluation.jsonl",
    *(f".factory/gates/{stage}.json" for stage in ("format", "baseline", "finetune")),
    ".factory/gates/evaluate.json",
    ".factory/gates/export.json",
)
RELEASE = "models/release/mcp-tools-v0.1.0"


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("path", CONTRACT)
def test_every_artifact_of_the_contract_is_there(finished_demo: Path, path: str) -> None:
    assert (finished_demo / path).stat().st_size >= 0
    assert (finished_demo / path).is_file()


def test_the_split_is_the_one_the_rows_ask_for(finished_demo: Path) -> None:
    splits = read(finished_demo, "metrics/dataset.json")["splits"]
    assert [splits[name]["rows"] for name in ("train", "val", "test")] == [694, 81, 99]


def test_the_base_model_cannot_do_the_task(finished_demo: Path) -> None:
    metrics = read(finished_demo, "metrics/baseline.json")["metrics"]
    assert metrics["rows"] == 99
    assert metrics["exact_match"] <= 0.05


def test_the_fine_tuned_model_can(finished_demo: Path) -> None:
    """One seed; docs/benchmarks.md has the mean of three, and how far it is from the targets."""
    report = read(finished_demo, "metrics/evaluation.json")
    assert report["metrics"]["exact_match"] >= 0.75
    assert report["metrics"]["tool_accuracy"] >= 0.9
    assert report["improvement"]["exact_match"]["low"] > 0.5
    assert set(report["per_tag"]["phrasing"]) == {"seen", "unseen"}
    assert len(report["per_tool"]) == 11


def test_predictions_hold_one_line_a_row(finished_demo: Path) -> None:
    lines = (finished_demo / "metrics/predictions/evaluation.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 99


def test_the_release_verifies_with_sha256sum(finished_demo: Path) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"],
        cwd=finished_demo / RELEASE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        *((f".factory/gates/{stage}.json", "gate") for stage in ("format", "evaluate", "export")),
        ("metrics/dataset.json", "dataset"),
        ("metrics/baseline.json", "evaluation"),
        ("metrics/evaluation.json", "evaluation"),
        (".factory/training-status.json", "training-status"),
        ("training-config.json", "training-config"),
        ("models/release/mcp-tools-v0.1.0/verification.json", "verification"),
    ],
)
def test_what_is_written_is_valid_against_the_published_schema(
    finished_demo: Path, path: str, schema: str
) -> None:
    jsonschema.validate(read(finished_demo, path), schemas.schema(schema))


def test_every_gate_names_its_provenance(finished_demo: Path) -> None:
    for stage in ("format", "baseline", "finetune", "evaluate", "export"):
        gate = read(finished_demo, f".factory/gates/{stage}.json")
        assert gate["status"] == "passed", gate["checks"]
        assert gate["inputs"] and gate["outputs"]
        assert gate["versions"]["transformers"] != "not installed"


def test_check_passes(finished_demo: Path) -> None:
    verdicts = ran("check", cwd=finished_demo)["stages"]
    assert {verdict["result"] for verdict in verdicts} == {"passed"}


def test_next_says_that_nothing_is_left(finished_demo: Path) -> None:
    assert ran("next", cwd=finished_demo)["action"] == "done"


def test_status_is_complete(finished_demo: Path) -> None:
    summary = ran("status", cwd=finished_demo)
    assert [stage["state"] for stage in summary["stages"]] == ["passed"] * 5
    assert summary["training"]["phase"] == "completed"


def test_no_pickle_is_released(finished_demo: Path) -> None:
    suffixes = {path.suffix for path in (finished_demo / RELEASE).rglob("*") if path.is_file()}
    assert not suffixes & {".bin", ".pt", ".pth", ".pkl"}


def test_no_secret_of_the_environment_is_in_any_byte(finished_demo: Path) -> None:
    """Logs, script, status, reports, checkpoints, model card, exports."""
    files = [path for path in finished_demo.rglob("*") if path.is_file()]
    assert len(files) > 50
    needles = [secret.encode() for secret in SECRETS.values()]
    leaks = [path for path in files if any(needle in path.read_bytes() for needle in needles)]
    assert not leaks


def test_every_json_is_strict(finished_demo: Path) -> None:
    """No NaN or Infinity anywhere, in one document or line by line."""
    for path in finished_demo.rglob("*.json"):
        storage.read_json(path)
    for path in finished_demo.rglob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            json.loads(line, parse_constant=pytest.fail)


def test_a_rerun_does_nothing_and_says_why(finished_demo: Path) -> None:
    outcomes = ran("run", "all", cwd=finished_demo)["stages"]
    assert [outcome["action"] for outcome in outcomes] == ["skipped"] * 5
    assert {outcome["reason"] for outcome in outcomes} == {"nothing changed"}


def test_a_dry_run_of_a_finished_demo_would_do_nothing(finished_demo: Path) -> None:
    outcomes = ran("run", "all", "--dry-run", cwd=finished_demo)["stages"]
    assert {outcome["action"] for outcome in outcomes} == {"would skip"}


@pytest.mark.parametrize(
    ("arguments", "code"), [(["run", "all"], 0), (["check"], 0), (["status"], 0), (["next"], 0)]
)
def test_commands_print_for_people(finished_demo: Path, arguments: list[str], code: int) -> None:
    done = factory(*arguments, cwd=finished_demo)
    assert done.returncode == code
    assert "\x1b[" not in done.stdout, "colours belong on a terminal only"
