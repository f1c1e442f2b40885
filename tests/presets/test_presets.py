"""The shipped presets, and the seeds' own tables as a workspace's presets.toml."""

from pathlib import Path
from typing import Any

import pytest

from factory import Workspace, init, layers, presets
from factory.errors import ConfigError

CATALOG = presets.load()
SINGLE = CATALOG.single_presets()
# What the five systems are known for: preset -> fields of its configuration.
EXPECTED = {
    "gemma-3-4b-8gb": {
        "training.per_device_train_batch_size": 1,
        "training.gradient_accumulation_steps": 8,
    },
    "gemma-3-12b": {"lora.r": 16},
    "gemma-3-27b": {"lora.r": 32},
    "veran-tools": {
        "model.name": "Qwen/Qwen2.5-Coder-32B-Instruct",
        "model.max_seq_length": 2048,
        "lora.r": 16,
        "lora.lora_alpha": 32,
        "lora.lora_dropout": 0.05,
        "training.learning_rate": 2e-5,
        "training.warmup_steps": 0.1,
        "training.per_device_train_batch_size": 4,
        "training.gradient_accumulation_steps": 4,
        "evaluation.targets": {"exact_match": 0.9, "tool_accuracy": 0.95, "parameter_f1": 0.92},
    },
    "farore-debug-7b": {"model.name": "Qwen/Qwen2.5-Coder-7B-Instruct"},
    "nayru-editor": {
        "evaluation.targets": {"exact_match": 0.95, "tool_accuracy": 0.95, "parameter_f1": 0.92}
    },
    "oracle-rauru-mac": {
        "model.name": "Qwen/Qwen2.5-Coder-1.5B",
        "model.max_seq_length": 1024,
        "lora.r": 8,
        "lora.lora_alpha": 8,
        "training.num_train_epochs": 1.0,
        "training.eval_steps": 0,
    },
    "oracle-rauru-cloud": {"training.num_train_epochs": 3.0, "training.eval_steps": 100},
    "oracle-sheik-cloud": {"lora.r": 16},
    "oracle-purah-mac": {"lora.r": 8},
    "aj-mixed-h200": {
        "model.name": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B",
        "lora.r": 64,
        "lora.lora_alpha": 128,
        "training.lr_scheduler_type": "cosine",
        "training.learning_rate": 2e-5,
        "training.max_steps": 5000,
        "training.bf16": True,
        "training.tf32": True,
        "training.per_device_train_batch_size": 2,
        "training.gradient_accumulation_steps": 8,
        "project.version": "2.0.0",
    },
    "mtg-reason": {"model.load_in_4bit": True, "training.optim": "adamw_8bit"},
    "mtg-explain": {"lora.lora_dropout": 0.1},
    "mtg-teach": {"lora.r": 8},
    "mtg-predict": {"lora.r": 16},
    "mtg-retrospect": {"lora.r": 8},
}
# The tables of the Oracle seed, with every field that its file has.
SEED = '''
[metadata]
schema_version = 1
updated = "2025-12-22"

[hardware.windows-rtx-5060]
name = "Windows RTX 5060 Ti 16GB"
device = "cuda"
available_memory_gb = 16
max_batch_size = 2
max_sequence_length = 2048
supports_fp16 = true
supports_bf16 = true
supports_gradient_checkpointing = true
max_lora_rank = 16
recommended_gradient_accumulation = 4
status = "available"
python_path = 'D:\\pytorch_env\\Scripts\\python.exe'
notes = "Needs CUDA 12.8"
cost_per_hour = 0.60

[experts.oracle-farore-secrets]
display_name = "Oracle: Farore Secrets"
role = "general"
group = "rom-tooling"
base_model = "Qwen/Qwen2.5-Coder-1.5B"
context_window = 32768
specialization = "Multi-domain expertise"
prompt_template = """Below is an instruction{context}. Write a response.

### Instruction:
{instruction}
{input_section}
### Response:
{output}"""

[hyperparameters.quick-test]
num_epochs = 1
learning_rate = 3e-4
max_steps = 100
logging_steps = 5
save_steps = 25

[datasets.oracle_farore_improved]
path = "data/oracle_farore"
description = "Diverse"
train_split = "train.jsonl"
val_split = "val.jsonl"
test_split = "test.jsonl"
quality_threshold = 0.7
domains = ["oracle", "asm", "gigaleak"]
notes = "Fixed"

[presets.oracle-farore-windows]
expert = "oracle-farore-secrets"
hardware = "windows-rtx-5060"
dataset = "oracle_farore_improved"
hyperparameters = "default"
lora = "standard"
sequence_length = 4096
batch_size = 2
gradient_accumulation = 4
'''


def test_every_table_is_valid_and_every_name_is_known() -> None:
    CATALOG.check()
    assert set(EXPECTED) <= set(SINGLE)
    assert CATALOG.preset("mtg-all").sequence == [
        f"mtg-{mode}" for mode in ("reason", "explain", "teach", "predict", "retrospect")
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_a_preset_is_what_its_system_was(name: str) -> None:
    flat = layers.flat(layers.of_preset(name, CATALOG))
    assert {key: flat[key] for key in EXPECTED[name]} == EXPECTED[name]


def first_of_each_shape() -> list[Any]:
    """Every preset; those whose group and data set came before are marked slow."""
    seen, found = set(), []
    for name in SINGLE:
        preset = CATALOG.preset(name)
        shape = (CATALOG.expert(preset.expert or "").group, preset.dataset)
        found.append(pytest.param(name, marks=[pytest.mark.slow] if shape in seen else []))
        seen.add(shape)
    return found


@pytest.mark.parametrize("name", first_of_each_shape())
def test_each_preset_formats_rows_of_its_shape(name: str, tmp_path: Path) -> None:
    init.make(tmp_path / "ws", preset=name, model="models/base", sample=True)
    outcomes = Workspace(tmp_path / "ws").run("format", quiet=True)
    assert [outcome.status for outcome in outcomes] == ["passed"]


def test_the_seeds_tables_work_unchanged(tmp_path: Path) -> None:
    (tmp_path / presets.FILE_NAME).write_text(SEED)
    catalog = presets.load(tmp_path)
    catalog.check()
    with pytest.raises(ConfigError, match="4096, Windows RTX 5060 Ti 16GB allows 2048"):
        layers.of_preset("oracle-farore-windows", catalog)
    (tmp_path / "training-config.json").write_text('{"preset": "oracle-farore-windows"}')
    fitted = Workspace(tmp_path).config(fit=True)
    assert fitted.model.max_seq_length == 2048
    assert "{input_section}" in fitted.dataset.prompt_template


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hardware = 3\n", "write [hardware.NAME]"),
        ("[hardware]\nmac = 3\n", "hardware.mac is not a table"),
        ("[hardwares.mac]\n", "did you mean 'hardware'"),
        ('[hardware.mine]\nname = "x"\n', "device: is needed"),
        ("[output]\n", "config migrate"),
        ('[presets.x]\nsequence = ["mtg-teach"]\nlora = "full"\n', "has no lora of its own"),
        ('[presets.x]\nsequence = ["mtg-tech"]\n', "did you mean 'mtg-teach'"),
        ("[lora.x]\nr = 'many'\n", "lora.x"),
    ],
)
def test_a_mistake_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / presets.FILE_NAME).write_text(text)
    with pytest.raises(ConfigError) as raised:
        presets.load(tmp_path).check()
    assert message in str(raised.value)
