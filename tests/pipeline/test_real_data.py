"""Real public data through all stages, with the tiny base: the gate decides on the evidence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import factory, make_workspace, ran

pytestmark = pytest.mark.slow

SHORT: dict[str, Any] = {
    "training": {
        "max_steps": 30,
        "save_steps": 30,
        "logging_steps": 5,
        "learning_rate": 2e-3,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
    },
    "model": {"max_seq_length": 1024},
    "lora": {"use_gradient_checkpointing": False},
    "evaluation": {"max_samples": 24, "max_new_tokens": 24, "min_rows": 20},
}


def workspace(folder: Path, sources: list[Path], **changes: Any) -> Path:
    make_workspace(folder, {**SHORT, **changes}, demo=False)
    for source in sources:
        shutil.copyfile(source, folder / "data" / "raw" / source.name)
    return folder


def verdict(folder: Path) -> tuple[int, dict[str, Any]]:
    """The exit code of `run export`, and the improvement check it rests on."""
    for stage in ("format", "baseline", "finetune"):
        ran("run", stage, cwd=folder)
    factory("run", "evaluate", cwd=folder)
    code = factory("run", "export", cwd=folder).returncode
    gate = json.loads((folder / ".factory" / "gates" / "evaluate.json").read_text())
    checks = {check["id"]: check for check in gate["checks"]}
    return code, checks["evaluate.improvement"]


def test_glaive_tool_calls(real_data: Path, tmp_path: Path) -> None:
    """Multi-turn ShareGPT with function_call/observation roles and tools as a string."""
    source = real_data / "lf_glaive_toolcall_en_demo.json"
    # 22 test rows; of 1024 tokens only 18 would fit.
    folder = workspace(tmp_path / "ws", [source], model={"max_seq_length": 1536})
    code, improvement = verdict(folder)
    report = json.loads((folder / "metrics" / "evaluation.json").read_text())
    assert report["metrics"]["tool_turns"] > 0
    assert report["metrics"]["text_turns"] > 0
    assert code == (0 if improvement["passed"] else 3)


def test_gsm8k(real_data: Path, tmp_path: Path) -> None:
    """question/answer rows with an answer pattern: a tiny model cannot win, and that is said."""
    lines = (real_data / "gsm8k_train.jsonl").read_text().splitlines()[:600]
    rows = tmp_path / "gsm8k.jsonl"
    rows.write_text("\n".join(lines) + "\n")
    changes = {**SHORT["evaluation"], "answer_pattern": r"####\s*([-0-9.,]+)"}
    folder = workspace(tmp_path / "ws", [rows], evaluation=changes)
    code, improvement = verdict(folder)
    report = json.loads((folder / "metrics" / "evaluation.json").read_text())
    assert report["metric"] == "exact_match"
    assert report["metrics"]["exact_match"] < 0.2
    assert (code, improvement["passed"]) == (3, False)
    assert "is not proven" in improvement["why"]
