"""Configuration in layers: order, origins, faults by layer, hardware limits."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory import layers
from factory.errors import ConfigError
from factory.workspace import CONFIG_NAME

PRESETS = """
[hardware.small]
name = "Small GPU"
device = "cuda"
available_memory_gb = 8
max_batch_size = 2
max_sequence_length = 512
supports_fp16 = true
supports_bf16 = false
supports_gradient_checkpointing = false
max_lora_rank = 8
recommended_gradient_accumulation = 16

[lora.mine]
rank = 4
alpha = 8
target_modules = ["q_proj"]

[hyperparameters.mine]
num_epochs = 7
lr_scheduler = "cosine"
eval_strategy = "no"
learning_rate = 1e-3

[experts.mine]
display_name = "Mine"
role = "test"
base_model = "models/base"
context_window = 256
system_prompt = "Be brief."
targets = { exact_match = 0.5 }

[datasets.mine]
path = "data/mine"
train_split = "train.jsonl"
val_split = "val.jsonl"

[presets.mine]
expert = "mine"
hardware = "small"
lora = "mine"
hyperparameters = "mine"
dataset = "mine"
sequence_length = 128
batch_size = 1
config.training.logging_steps = 3

[presets.too-much]
hardware = "small"
sequence_length = 4096
batch_size = 8
gradient_accumulation = 3
config.training.bf16 = true
config.lora = { r = 32, lora_alpha = 64, use_gradient_checkpointing = "unsloth" }

[presets.both]
sequence = ["mine", "too-much"]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "presets.toml").write_text(PRESETS)
    return tmp_path


def configure(root: Path, values: Any) -> Path:
    path = root / "training-config.json"
    path.write_text(json.dumps(values))
    return path


def test_layers_lie_on_one_another_in_the_documented_order(root: Path) -> None:
    path = configure(root, {"preset": "mine", "training": {"lr": 2e-3}})
    resolved = layers.load(path, ["training.logging_steps=4"])
    training = resolved.config.training
    assert training.gradient_accumulation_steps == 16  # hardware
    assert resolved.config.lora.r == 4  # lora, above the hardware's 8
    assert training.num_train_epochs == 7  # hyperparameters
    assert training.eval_steps == 0
    assert resolved.config.expert.system_prompt == "Be brief."
    assert resolved.config.evaluation.targets == {"exact_match": 0.5}
    assert resolved.config.dataset.sources == ["data/mine/train.jsonl", "data/mine/val.jsonl"]
    assert resolved.config.model.max_seq_length == 128  # preset
    assert training.learning_rate == 2e-3  # workspace file, by an alias
    assert training.logging_steps == 4  # command line
    assert [layer.name for layer in resolved.layers] == [
        "hardware small",
        "lora mine",
        "hyperparameters mine",
        "expert mine",
        "dataset mine",
        "preset mine",
        "training-config.json",
        "command line",
        "command line",
    ]


def test_why_lists_every_value_a_field_got(root: Path) -> None:
    resolved = layers.load(configure(root, {"preset": "mine", "training": {"lr": 2e-3}}))
    assert resolved.origins("training.learning_rate") == [
        ("defaults", 2e-4),
        ("hyperparameters mine", 1e-3),
        ("training-config.json", 2e-3),
    ]
    with pytest.raises(ConfigError, match="did you mean 'learning_rate'"):
        resolved.origins("training.learning_rat")


def test_the_command_line_names_another_preset(root: Path) -> None:
    path = configure(root, {"preset": "gemma-3-4b", "model": {"name": "models/base"}})
    resolved = layers.load(path, preset="mine")
    assert resolved.config.preset == "mine"
    assert resolved.decisions["preset"].value == "mine"
    assert "--preset" in resolved.decisions["preset"].reason


def test_limits_are_errors_that_name_each_limit(root: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        layers.load(configure(root, {"preset": "too-much"}))
    for limit in (
        "lora.r is 32, Small GPU allows 8 (max_lora_rank)",
        "per_device_train_batch_size is 8, Small GPU allows 2 (max_batch_size)",
        "model.max_seq_length is 4096, Small GPU allows 512 (max_sequence_length)",
        "bf16 is on, Small GPU has none (supports_bf16)",
        "supports_gradient_checkpointing",
    ):
        assert limit in raised.value.message


def test_fit_lowers_to_the_limits_and_records_it(root: Path) -> None:
    resolved = layers.load(configure(root, {"preset": "too-much"}), fit=True)
    config = resolved.config
    assert (config.lora.r, config.lora.lora_alpha) == (8, 16)
    assert config.training.per_device_train_batch_size == 2
    assert config.training.gradient_accumulation_steps == 12, "the effective batch stays 24"
    assert config.model.max_seq_length == 512
    assert config.training.bf16 is False
    assert config.lora.use_gradient_checkpointing is False
    assert "max_lora_rank" in resolved.decisions["fit.lora.r"].reason
    assert resolved.origins("lora.r")[-1] == ("fit", 8)


def test_the_window_of_the_base_model_is_a_limit(root: Path) -> None:
    with pytest.raises(ConfigError, match="models/base allows 256"):
        layers.load(configure(root, {"preset": "mine", "model": {"max_seq_length": 300}}))


def test_unsupported_hardware_is_refused(root: Path) -> None:
    text = PRESETS.replace("[lora.mine]", 'status = "unsupported by torch"\n[lora.mine]')
    (root / "presets.toml").write_text(text)
    with pytest.raises(ConfigError, match="unsupported by torch"):
        layers.load(configure(root, {"preset": "mine"}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "gemma-3-4"}, "did you mean 'gemma-3-4b'"),
        ({"preset": 3}, "not a name"),
        ({"preset": "both"}, "is a sequence of mine, too-much"),
        ({"preset": "mine", "training": {"epoch": 1}}, "training.epoch: unknown field"),
        (
            {"training": {"batch_size": 1, "per_device_train_batch_size": 2}},
            "another name of",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_message(root: Path, values: Any, message: str) -> None:
    path = configure(root, values)
    with pytest.raises(ConfigError) as raised:
        layers.load(path)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("max_lora_rank = 8", "max_lora_ranks = 8"), "did you mean 'max_lora_rank'"),
        (("num_epochs = 7", "num_epoch = 7"), "did you mean 'num_train_epochs'"),
        (('expert = "mine"', 'expert = "mime"'), "no expert 'mime'; did you mean 'mine'"),
        (("[lora.mine]", "[loras.mine]"), "did you mean 'lora'"),
        (("batch_size = 1", 'batch_size = "one"'), "batch_size"),
        (('eval_strategy = "no"', 'eval_strategy = "never"'), "one of no, steps, epoch"),
        (("config.training.logging", "config.trainin.logging"), "did you mean 'training'"),
        (("num_epochs = 7", "num_epochs ="), "not valid TOML"),
    ],
)
def test_a_mistake_in_presets_toml_names_that_file(
    root: Path, change: tuple[str, str], message: str
) -> None:
    (root / "presets.toml").write_text(PRESETS.replace(*change))
    with pytest.raises(ConfigError) as raised:
        layers.load(configure(root, {"preset": "mine"}))
    assert message in str(raised.value)
    assert "presets.toml" in str(raised.value.where)


def test_a_preset_and_two_files_can_be_told_apart(root: Path) -> None:
    configure(root, {"preset": "mine"})
    assert layers.flat(layers.named("training-config.json", root)) == layers.flat(
        layers.named("mine", root)
    )


def test_a_data_set_of_the_tables_is_looked_up_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "presets.toml").write_text(
        """
[datasets.talks]
path = "data/talks"
train_split = "train.jsonl"
test_split = "test.jsonl"
quality_threshold = 0.6
columns = { messages = "log" }

[datasets.hub]
hub = "someone/talks"
revision = "v1"
"""
    )
    mix = [{"name": "talks", "weight": 2}, {"name": "hub", "weight": 1, "revision": "v2"}]
    (tmp_path / CONFIG_NAME).write_text(json.dumps({"dataset": {"mix": mix}}))
    first, second = layers.load(tmp_path / CONFIG_NAME).config.dataset.mix
    assert first.path == ["data/talks/train.jsonl", "data/talks/test.jsonl"]
    assert (first.label, first.weight, first.min_quality) == ("talks", 2, 0.6)
    assert first.columns == {"messages": "log"}
    assert (second.hub, second.revision) == ("someone/talks", "v2")
    with pytest.raises(ConfigError) as caught:
        layers.load(tmp_path / CONFIG_NAME, ['dataset.sources=[{"name": "tlaks"}]'])
    assert "dataset.sources[0].name: no dataset 'tlaks'; did you mean 'talks'?" in str(caught.value)


def test_the_words_of_an_expert_open_its_rows(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text('{"preset": "veran-tools-7b"}')
    found = layers.load(tmp_path / CONFIG_NAME).config
    assert found.dataset.system_prompt.startswith("You are VERAN-tools")
