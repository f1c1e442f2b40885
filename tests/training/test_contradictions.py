"""Options that exclude each other are refused by every command, not hours later."""

from pathlib import Path

import pytest

from factory import config, layers
from factory.console import Console
from factory.context import Context
from factory.errors import ConfigError
from factory.training import contradictions
from factory.workspace import Workspace

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
    "training.early_stopping_threshold": ["training.early_stopping_threshold=0.1"],
    "training.warmup_steps": ["training.warmup_steps=3", 'training.lr_scheduler_type="constant"'],
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


@pytest.mark.parametrize("field", ["training.output_dir", "save.lora_path", "save.merged_path"])
@pytest.mark.parametrize(
    "folder", [".", "data", "data/raw/", "models", "x/../models/base", "scripts"]
)
def test_a_folder_that_training_replaces_holds_nothing_else(
    field: str, folder: str, tmp_path: Path
) -> None:
    (tmp_path / "training-config.json").write_text("{}")
    with pytest.raises(ConfigError, match="training replaces the folder") as raised:
        layers.load(tmp_path / "training-config.json", [f"{field}={folder}"])
    assert raised.value.where == field


PATHS = (
    "dataset.path dataset.validation_path dataset.test_path training.output_dir "
    "save.lora_path save.merged_path save.gguf_path"
)


@pytest.mark.parametrize("field", PATHS.split())
@pytest.mark.parametrize("value", ["../x", "/etc/x", "a/../../x", "../workspace-sibling/x"])
def test_every_path_stays_in_the_workspace(field: str, value: str, tmp_path: Path) -> None:
    section, key = field.split(".")
    values = config.validate({section: {key: value}})
    root = tmp_path / "workspace"
    root.mkdir()
    (tmp_path / "workspace-sibling").mkdir()
    with pytest.raises(ConfigError, match="outside the workspace") as raised:
        Context(Workspace(root), values, Console(quiet=True)).path(field)
    assert raised.value.where == field


def test_the_defaults_contradict_nothing() -> None:
    contradictions.refuse(config.validate({}))
