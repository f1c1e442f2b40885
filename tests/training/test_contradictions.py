"""Options that exclude each other are refused by every command, not hours later."""

from pathlib import Path

import pytest

from factory import config, layers
from factory.errors import ConfigError
from factory.training import contradictions

CONTRADICTIONS = {
    "training.fp16": ["training.fp16=true", "training.bf16=true"],
    "model.load_in_4bit": ["model.load_in_4bit=true", "model.full_finetuning=true"],
    "training.packing": ["training.packing=true"],
    "lora.finetune_vision_layers": ["lora.finetune_vision_layers=true"],
    "lora.finetune_language_layers": ["lora.finetune_language_layers=false"],
    "lora.modules_to_save": ["model.full_finetuning=true", 'lora.modules_to_save=["lm_head"]'],
    "lora.use_dora": ["model.full_finetuning=true", "lora.use_dora=true"],
    "lora.use_rslora": ["model.full_finetuning=true", "lora.use_rslora=true"],
    "lora.bias": ["model.full_finetuning=true", 'lora.bias="all"'],
    "training.embedding_learning_rate": ["training.embedding_learning_rate=1e-5"],
    "training.early_stopping_patience": [
        "training.early_stopping_patience=2",
        "training.eval_steps=0",
    ],
    "training.load_best_model_at_end": [
        "training.load_best_model_at_end=true",
        "training.eval_steps=0",
    ],
    "training.save_steps": [
        "training.load_best_model_at_end=true",
        "training.eval_steps=30",
        "training.save_steps=50",
    ],
}


@pytest.mark.parametrize("field", CONTRADICTIONS)
def test_a_contradiction_names_its_field(field: str, tmp_path: Path) -> None:
    (tmp_path / "training-config.json").write_text("{}")
    with pytest.raises(ConfigError) as raised:
        layers.load(tmp_path / "training-config.json", CONTRADICTIONS[field])
    assert raised.value.where == field


def test_the_defaults_contradict_nothing() -> None:
    contradictions.refuse(config.validate({}))
