"""training-config.json: defaults, errors, overrides, thresholds."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory import config, layers
from factory.config import Config
from factory.errors import ConfigError


def write(folder: Path, values: Any) -> Path:
    path = folder / config.CONFIG_NAME
    path.write_text(values if isinstance(values, str) else json.dumps(values))
    return path


def load(path: Path, overrides: list[str] | None = None) -> Config:
    return layers.load(path, overrides).config


def test_an_empty_configuration_is_all_defaults(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {}))
    assert loaded.dataset.sources == ["data/raw"]
    assert loaded.evaluation.confidence == 0.95


def test_the_seed_configuration_loads_unchanged(tmp_path: Path) -> None:
    """The five seeds' field names, with `"max_steps": null` meaning "by epochs"."""
    loaded = load(
        write(
            tmp_path,
            {
                "model": {
                    "name": "unsloth/gemma-3-4b-it",
                    "max_seq_length": 2048,
                    "dtype": None,
                    "load_in_4bit": True,
                },
                "lora": {
                    "r": 16,
                    "lora_alpha": 16,
                    "lora_dropout": 0,
                    "target_modules": ["q_proj", "v_proj"],
                    "bias": "none",
                    "use_gradient_checkpointing": "unsloth",
                    "random_state": 3407,
                },
                "training": {
                    "per_device_train_batch_size": 2,
                    "gradient_accumulation_steps": 4,
                    "warmup_steps": 5,
                    "max_steps": None,
                    "num_train_epochs": 3,
                    "learning_rate": 2e-4,
                    "fp16": False,
                    "bf16": True,
                    "logging_steps": 1,
                    "save_steps": 100,
                    "optim": "adamw_8bit",
                    "weight_decay": 0.01,
                    "lr_scheduler_type": "linear",
                    "seed": 3407,
                    "output_dir": "models/checkpoints/trainer",
                },
                "save": {
                    "lora_path": "models/checkpoints/lora",
                    "gguf_quantization": "Q4_K_M",
                    "push_to_hub": False,
                    "hub_model_id": None,
                },
                "wandb": {"enabled": False, "project": None, "run_name": None},
            },
        )
    )
    assert loaded.training.max_steps is None
    assert loaded.save.gguf_quantization == ["q4_k_m"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"trainin": {}}, "trainin: unknown field; did you mean 'training'?"),
        (
            {"training": {"learning_rat": 1}},
            "training.learning_rat: unknown field; did you mean 'learning_rate'?",
        ),
        ({"training": {"learning_rate": "fast"}}, "training.learning_rate"),
        ({"training": {"learning_rate": -1}}, "training.learning_rate"),
        ({"lora": {"r": 0}}, "lora.r"),
        ({"lora": 3}, "lora"),
        ({"project": {"version": "1"}}, "project.version"),
        ({"save": {"gguf_quantization": ["q9"]}}, "save.gguf_quantization"),
        ("[]", "must be a JSON object"),
        ("{", "not valid JSON"),
        ('{"training": {"learning_rate": NaN}}', "NaN is not JSON"),
    ],
)
def test_errors_name_the_field(tmp_path: Path, values: Any, message: str) -> None:
    path = write(tmp_path, values)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value.where)


def test_every_fault_is_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        load(write(tmp_path, {"lora": {"r": 0, "lora_alpha": "x"}}))
    assert "lora.r" in raised.value.message
    assert "lora.lora_alpha" in raised.value.message


def test_overrides_are_json_or_text(tmp_path: Path) -> None:
    path = write(tmp_path, {"training": {"max_steps": 5}})
    loaded = load(
        path, ["training.learning_rate=1e-4", "project.name=my model", "training.max_steps=null"]
    )
    assert loaded.training.learning_rate == 1e-4
    assert loaded.project.name == "my model"
    assert loaded.training.max_steps is None


@pytest.mark.parametrize("override", ["training.learning_rate", "=3", "training.learning_rate.x=1"])
def test_a_wrong_override_says_so(tmp_path: Path, override: str) -> None:
    path = write(tmp_path, {"training": {"learning_rate": 1e-3}})
    with pytest.raises(ConfigError) as raised:
        load(path, [override])
    assert "--set" in str(raised.value.where)


def test_a_threshold_is_no_setting() -> None:
    loaded = config.validate({})
    assert "evaluation.min_improvement" in config.thresholds(loaded, "evaluation")
    assert "evaluation.min_improvement" not in config.settings(loaded, "evaluation")
    assert "evaluation.max_new_tokens" in config.settings(loaded, "evaluation")


def test_settings_of_a_single_field() -> None:
    assert config.settings(config.validate({}), "model.name") == {"model.name": "models/base"}


def test_the_schema_describes_every_section() -> None:
    schema = config.json_schema()
    assert set(schema["properties"]) == {
        field.alias or name for name, field in config.Config.model_fields.items()
    }
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ([0.5, 0.1, 0.1], "add up to 1, not 0.7"),
        ([1.2, -0.1, -0.1], "not negative"),
        ([0, 0.5, 0.5], "train has one"),
    ],
)
def test_split_ratios_are_shares(ratios: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.validate({"dataset": {"split_ratios": ratios}})


def test_a_source_is_recorded_as_the_few_fields_it_was_given() -> None:
    source = {"path": "a.jsonl", "columns": {"user": "q", "assistant": "a"}}
    found = config.settings(config.validate({"dataset": {"sources": [source, "b"]}}), "dataset")
    assert found["dataset.sources"] == [source, "b"]
