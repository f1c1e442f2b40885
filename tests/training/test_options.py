"""Options that change how training goes, each in a real run of a few steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import make_context, run_script, write_script

pytestmark = pytest.mark.slow


def train(folder: Path, formats: list[str], **sections: dict[str, Any]) -> dict[str, Any]:
    """Train with these options; returns the statistics."""
    context = make_context(folder, **sections)
    settings = write_script(context)
    settings["save"]["formats"] = formats
    (folder / "scripts/train.json").write_text(json.dumps(settings))
    code, output = run_script(folder)
    assert code == 0, output[-4000:]
    answer: dict[str, Any] = json.loads((folder / "metrics/training-stats.json").read_text())
    return answer


def tensor_names(folder: Path) -> set[str]:
    from factory import tensors

    found = tensors.folder_tensors(folder / "models/checkpoints/lora").values()
    return {tensor.name for group in found for tensor in group}


def test_dora_rslora_and_all_linear(tmp_path: Path) -> None:
    lora = {"use_dora": True, "use_rslora": True, "target_modules": "all-linear", "r": 4}
    stats = train(
        tmp_path / "ws", ["lora"], lora=lora, training={"max_steps": 2, "logging_steps": 50}
    )
    assert [point["step"] for point in stats["curve"] if "loss" in point] == [1, 2]
    names = tensor_names(tmp_path / "ws")
    assert any("lora_magnitude_vector" in name for name in names)
    saved = json.loads((tmp_path / "ws/models/checkpoints/lora/adapter_config.json").read_text())
    assert (saved["use_dora"], saved["use_rslora"], saved["r"]) == (True, True, 4)


def test_embeddings_learn_at_their_own_rate(tmp_path: Path) -> None:
    training = {"max_steps": 2, "embedding_learning_rate": 1e-4, "neftune_noise_alpha": 5.0}
    lora = {"modules_to_save": ["embed_tokens"]}
    train(tmp_path / "ws", ["lora"], lora=lora, training=training)
    assert any("embed_tokens" in name for name in tensor_names(tmp_path / "ws"))


def test_full_finetuning_saves_the_whole_model(tmp_path: Path) -> None:
    stats = train(
        tmp_path / "ws", ["merged"], model={"full_finetuning": True}, training={"max_steps": 2}
    )
    assert stats["trainable_parameters"] == stats["total_parameters"]
    assert (tmp_path / "ws/models/checkpoints/merged/model.safetensors").exists()


def test_early_stopping_keeps_the_best_checkpoint(tmp_path: Path) -> None:
    training = {
        "max_steps": 40,
        "eval_steps": 2,
        "save_steps": 2,
        "learning_rate": 0.3,
        "early_stopping_patience": 1,
    }
    stats = train(tmp_path / "ws", ["lora"], training=training)
    assert stats["total_steps"] < 40
    evaluated = {p["step"]: p["eval_loss"] for p in stats["curve"] if "eval_loss" in p}
    assert evaluated[stats["best_step"]] == stats["best_eval_loss"] == min(evaluated.values())


def test_divergence_warns(tmp_path: Path) -> None:
    training = {
        "max_steps": 12,
        "learning_rate": 1.0,
        "divergence_window": 2,
        "divergence_factor": 1.05,
        "eval_steps": 0,
    }
    stats = train(tmp_path / "ws", ["lora"], training=training)
    assert any("the loss diverges" in warning for warning in stats["warnings"])
