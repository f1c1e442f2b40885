"""A template by name on a base whose EOS ends texts, not turns: what it says in every artifact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from factory import chat_template
from tests.conftest import make_workspace, ran

pytestmark = pytest.mark.slow

RELEASE = "models/release/named-v0.1.0"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    changes = {
        "project": {"name": "named"},
        "model": {"name": "models/base", "max_seq_length": 128},
        "dataset": {"chat_template": "chatml", "split_ratios": [0.6, 0.15, 0.25]},
        "training": {"max_steps": 8, "eval_steps": 0, "learning_rate": 2e-3, "warmup_steps": 0},
        "evaluation": {"metric": "loss", "max_new_tokens": 8},
    }
    demo = make_workspace(tmp_path_factory.mktemp("demo") / "ws", {})
    folder = make_workspace(tmp_path_factory.mktemp("named") / "ws", changes, demo=False)
    base = folder / "models/base"
    if not base.exists():
        base.parent.mkdir(parents=True, exist_ok=True)
        (demo / "models/base").rename(base)
    (base / "chat_template.jinja").unlink()
    set_value(base / "tokenizer_config.json", "eos_token", "<|endoftext|>")
    rows = [
        {"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": f"What is {number} and one?"},
            {"role": "assistant", "content": f"It is {number + 1}."},
        ]}
        for number in range(120)
    ]  # fmt: skip
    (folder / "data/raw").mkdir(parents=True, exist_ok=True)
    (folder / "data/raw/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran("run", "all", cwd=folder)
    return folder


def set_value(path: Path, key: str, value: str) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def read(workspace: Path, name: str) -> Any:
    return json.loads((workspace / name).read_text(encoding="utf-8"))


def test_merged_model_and_gguf_carry_the_text(workspace: Path) -> None:
    from factory.export import gguf_tensors

    text = chat_template.named("chatml")
    assert (workspace / RELEASE / "merged/chat_template.jinja").read_text() == text
    (gguf,) = (workspace / RELEASE / "gguf").iterdir()
    assert gguf_tensors.chat_template(gguf) == text


def test_the_end_of_turn_ends_answers_everywhere(workspace: Path) -> None:
    from transformers import AutoTokenizer

    for folder in ("adapter", "merged"):
        assert AutoTokenizer.from_pretrained(workspace / RELEASE / folder).eos_token == "<|im_end|>"
    proof = read(workspace, f"{RELEASE}/verification.json")
    (gguf,) = proof["gguf"].values()
    assert gguf["tensors"]["end_token_id"] == gguf["end_token_id"]
    assert "<|im_end|>" in proof["ollama"]["stops"]


def test_the_modelfile_renders_the_same(workspace: Path) -> None:
    assert read(workspace, f"{RELEASE}/verification.json")["ollama"]["family"] == "chatml"
    assert "TEMPLATE" in (workspace / RELEASE / "Modelfile").read_text()
