"""What a finished workspace does when something in it changes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import factory, ran

pytestmark = pytest.mark.slow

ARTIFACTS = (
    "data/raw/mesen2.jsonl",
    "data/splits/train.jsonl",
    "data/splits/test.jsonl",
    "metrics/dataset.json",
    "models/base/model.safetensors",
    "metrics/baseline.json",
    "metrics/predictions/baseline.jsonl",
    "scripts/train.py",
    "scripts/train.json",
    "models/checkpoints/lora/adapter_model.safetensors",
    "models/checkpoints/merged/model.safetensors",
    "models/quantized/mcp-tools-q8_0.gguf",
    "metrics/training-stats.json",
    "metrics/evaluation.json",
    "metrics/predictions/evaluation.jsonl",
    ".factory/gates/evaluate.json",
    "models/release/mcp-tools-v0.1.0/README.md",
    "models/release/mcp-tools-v0.1.0/SHA256SUMS",
)


def flip_byte(path: Path) -> None:
    """Change one byte in the middle, and make the file look untouched to anyone who asks mtime."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("artifact", ARTIFACTS)
def test_check_exits_4_and_names_the_flipped_file(demo: Path, artifact: str) -> None:
    flip_byte(demo / artifact)
    done = factory("check", cwd=demo)
    assert done.returncode == 4
    assert artifact in done.stdout


def test_the_next_stage_refuses_a_flipped_byte(demo: Path) -> None:
    flip_byte(demo / "data/splits/test.jsonl")
    done = factory("run", "evaluate", cwd=demo)
    assert done.returncode == 4
    assert "data/splits/test.jsonl" in done.stderr


def test_a_touched_raw_row_reruns_what_depends_on_it(demo: Path) -> None:
    path = demo / "data/raw/mesen2.jsonl"
    lines = path.read_text().splitlines()
    row = json.loads(lines[0])
    row["messages"][1]["content"] += " Thank you."
    path.write_text("\n".join([json.dumps(row), *lines[1:]]) + "\n")
    outcomes = ran("run", "all", "--dry-run", cwd=demo)["stages"]
    assert outcomes[0]["action"] == "would run"
    assert outcomes[0]["reason"] == "data/raw/mesen2.jsonl has changed"


def test_a_deleted_gate_file_reruns_the_stage(demo: Path) -> None:
    (demo / ".factory/gates/format.json").unlink()
    outcomes = ran("run", "format", cwd=demo)["stages"]
    assert [outcome["action"] for outcome in outcomes] == ["ran"]
    assert {outcome["action"] for outcome in ran("run", "baseline", cwd=demo)["stages"]} == {
        "skipped"
    }


def test_a_stricter_margin_closes_the_export_gate(demo: Path) -> None:
    done = factory("run", "export", "--set", "evaluation.min_improvement=0.99", cwd=demo)
    assert done.returncode == 3
    assert "evaluate.improvement" in done.stderr
