"""`config migrate`: each tool's own example moves, and nothing is lost silently."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory import config, layers, presets
from factory.errors import ConfigError
from factory.migrate import flatten, migrate
from factory.workspace import CONFIG_NAME

LLAMA_FACTORY = """\
### model
model_name_or_path: Qwen/Qwen2.5-7B-Instruct
trust_remote_code: true
### method
stage: sft
do_train: true
finetuning_type: lora
quantization_bit: 4
lora_rank: 12
lora_target: all
### dataset
dataset: data/mine.json
template: qwen
cutoff_len: 1024
max_samples: 1000
overwrite_cache: true
preprocessing_num_workers: 16
### output
output_dir: saves/qwen/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
report_to: none  # choices: [none, wandb, tensorboard, swanlab, mlflow]
### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
val_size: 0.1
eval_strategy: steps
eval_steps: 500
packin: true
"""
AXOLOTL = """\
base_model: NousResearch/Llama-3.2-1B
load_in_8bit: false
load_in_4bit: true
strict: false
datasets:
  - path: data/alpaca.jsonl
    type: alpaca
val_set_size: 0.05
output_dir: ./outputs/lora-out
adapter: qlora
sequence_len: 2048
excess_length_strategy: raise
sample_packing: false
lora_r: 16
lora_alpha: 32
lora_dropout: 0.05
lora_target_linear: true
wandb_project:
gradient_accumulation_steps: 2
micro_batch_size: 2
num_epochs: 1
optimizer: adamw_8bit
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
tf32: false
gradient_checkpointing: true
flash_attention: true
evals_per_epoch: 4
special_tokens:
  pad_token: "<|end_of_text|>"
"""
UNSLOTH = """\
model: unsloth/Qwen2.5-0.5B
data:
  local_dataset: [data/mine.jsonl]
  format_type: alpaca
training:
  training_type: lora
  max_seq_length: 2048
  load_in_4bit: false
  output_dir: outputs
  num_epochs: 3
  learning_rate: 2e-4
  batch_size: 2
  max_steps: 0
  random_seed: 7
  train_on_completions: true
  gradient_checkpointing: none
lora:
  lora_r: 32
  target_modules: "q_proj, v_proj"
logging:
  enable_wandb: false
  hf_token: hf_secret
"""
FLAT = """\
model_name: "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"
output_dir: "./AJ-lora"
train_file: "datasets/processed/mixed.train.jsonl"
eval_file: "datasets/processed/mixed.eval.jsonl"
lora_r: 64
lora_alpha: 128
target_modules:
  - q_proj, k_proj
  - gate_proj
batch_size: 2
gradient_accumulation_steps: 8
max_steps: -1
learning_rate: 2e-5
warmup_steps: 100
max_seq_length: 2048
version: "v2.1.0-lora"
"""
NESTED = """\
model: {base_model: "ibm-granite/granite-3.1-8b-instruct", quantization: 4bit, dtype: bfloat16}
lora: {r: 64, lora_alpha: 128, task_type: CAUSAL_LM}
training: {warmup_ratio: 0.03, learning_rate: 2.0e-4, optim: paged_adamw_8bit,
           report_to: tensorboard}
data: {eval_split: 0.02, shuffle: true, seed: 42}
export: {output_dir: ./output, quantize_to: Q4_K_M}
"""
EXPECTED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "LLaMA-Factory": (
        LLAMA_FACTORY,
        {
            "model.name": "Qwen/Qwen2.5-7B-Instruct",
            "model.load_in_4bit": True,
            "lora.r": 12,
            "lora.lora_alpha": 24,
            "lora.target_modules": "all-linear",
            "dataset.sources": ["data/mine.json"],
            "dataset.split_ratios": [0.8, 0.1, 0.1],
            "training.warmup_steps": 0.1,
            "training.optim": "adamw_torch",
            "save.lora_path": "saves/qwen/lora/sft",
        },
        [
            "trust_remote_code",
            "do_train",
            "template",
            "max_samples",
            "overwrite_cache",
            "plot_loss",
            "ddp_timeout",
            "eval_strategy",
            "packin",
        ],
    ),
    "Axolotl": (
        AXOLOTL,
        {
            "model.name": "NousResearch/Llama-3.2-1B",
            "model.load_in_4bit": True,
            "training.bf16": None,
            "dataset.excess_length": "error",
            "training.per_device_train_batch_size": 2,
            "lora.target_modules": "all-linear",
            "training.lr_scheduler_type": "cosine",
        },
        ["strict", "flash_attention", "evals_per_epoch", "special_tokens.pad_token"],
    ),
    "Unsloth": (
        UNSLOTH,
        {
            "lora.r": 32,
            "lora.lora_alpha": 16,
            "lora.target_modules": ["q_proj", "v_proj"],
            "lora.use_gradient_checkpointing": False,
            "training.max_steps": None,
            "training.seed": 7,
            "lora.random_state": 7,
        },
        ["training.train_on_completions", "logging.hf_token"],
    ),
    "flat YAML (AJ)": (
        FLAT,
        {
            "project.version": "2.1.0",
            "training.learning_rate": 2e-5,
            "training.max_steps": None,
            "lora.target_modules": ["q_proj", "k_proj", "gate_proj"],
        },
        ["eval_file"],
    ),
    "nested YAML (QLoRA)": (
        NESTED,
        {
            "model.load_in_4bit": True,
            "save.gguf_quantization": ["q4_k_m"],
            "tracking.report_to": ["tensorboard"],
            "dataset.split_ratios": [0.96, 0.02, 0.02],
        },
        ["lora.task_type", "data.shuffle", "export.output_dir"],
    ),
}


def written(folder: Path, text: str, name: str = "old.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("tool", EXPECTED)
def test_a_tools_own_example_moves(tmp_path: Path, tool: str) -> None:
    text, expected, dropped = EXPECTED[tool]
    result = migrate(written(tmp_path, text))
    assert result.tool == tool
    values = json.loads(result.text)
    config.validate(values)
    flat = flatten(values)
    assert {key: flat[key] for key in expected} == expected
    assert {drop.key for drop in result.dropped} == set(dropped)
    assert "hf_secret" not in result.text


@pytest.mark.parametrize("tool", EXPECTED)
def test_every_value_is_moved_or_reported(tmp_path: Path, tool: str) -> None:
    path = written(tmp_path, EXPECTED[tool][0])
    result = migrate(path)
    from factory import config_file

    reported = set(result.moved) | {drop.key for drop in result.dropped}
    assert reported == set(flatten(config_file.read(path)))


def test_an_unknown_setting_names_the_nearest(tmp_path: Path) -> None:
    result = migrate(written(tmp_path, LLAMA_FACTORY))
    why = {drop.key: drop.why for drop in result.dropped}
    assert "did you mean 'packing'" in why["packin"]


def test_a_path_that_leaves_the_workspace_is_reported(tmp_path: Path) -> None:
    text = AXOLOTL.replace("./outputs/lora-out", "/mnt/out")
    why = {drop.key: drop.why for drop in migrate(written(tmp_path, text)).dropped}
    assert "inside the workspace" in why["output_dir"]


def test_a_value_that_is_refused_here_is_reported(tmp_path: Path) -> None:
    text = AXOLOTL.replace("lora_r: 16", "lora_r: 0")
    why = {drop.key: drop.why for drop in migrate(written(tmp_path, text)).dropped}
    assert "lora.r" in why["lora_r"]


def test_our_own_file_stays_as_it_is(tmp_path: Path) -> None:
    values = {"training": {"max_steps": None}}
    result = migrate(written(tmp_path, json.dumps(values), CONFIG_NAME))
    assert json.loads(result.text) == values
    assert not result.dropped


def test_the_oracle_seeds_toml_becomes_a_presets_file(tmp_path: Path) -> None:
    text = (
        "[metadata]\nschema_version = 1\n[lora.tiny]\n# small\nr = 2\n"
        '[output]\nmodels_dir = "~/m"\n[output.metadata]\nx = true\n[presets.p]\nlora = "tiny"\n'
    )
    result = migrate(written(tmp_path, text, "training.toml"))
    assert [drop.key for drop in result.dropped] == ["output"]
    written(tmp_path, result.text, presets.FILE_NAME)
    catalog = presets.load(tmp_path)
    catalog.check()
    assert catalog.preset("p").lora == "tiny"


@pytest.mark.parametrize(
    ("text", "tool", "message"),
    [
        ("x: 1\n", None, "of no tool"),
        ("x: 1\n", "axolotol", "did you mean 'axolotl'"),
        ("[", None, "not valid YAML"),
    ],
)
def test_what_cannot_be_read_says_so(
    tmp_path: Path, text: str, tool: str | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        (
            migrate(written(tmp_path, text), tool=tool)[
                "trust_remote_code",
                "do_train",
                "template",
                "max_samples",
                "overwrite_cache",
                "plot_loss",
                "ddp_timeout",
                "eval_strategy",
                "packin",
            ],
        )


def test_data_sets_of_other_tools_keep_how_they_are_read(tmp_path: Path) -> None:
    """As `run format` reads the same lists itself."""
    named = moved(tmp_path, "lora_rank: 8\ndataset: identity,alpaca_en_demo\ndataset_dir: data\n")
    assert named["dataset"]["sources"] == [
        {"path": "data/dataset_info.json", "entries": ["identity", "alpaca_en_demo"]}
    ]
    listed = moved(
        tmp_path,
        "micro_batch_size: 1\ndatasets:\n"
        "  - {path: ./data/a.jsonl, type: chat_template, field_messages: log}\n"
        "  - {path: someone/talks, type: alpaca, name: en}\n",
    )
    assert listed["dataset"]["sources"] == [
        {
            "path": "data/a.jsonl",
            "columns": {"messages": "log", "role": "role", "content": "content"},
            "roles": {},
        },
        {"hub": "someone/talks", "split": "train", "subset": "en", "format": "alpaca"},
    ]


def moved(folder: Path, text: str) -> Any:
    path = folder / "old.yaml"
    path.write_text(text)
    done = migrate(path)
    assert not done.dropped
    return json.loads(done.text)


def test_a_data_set_without_a_counterpart_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("micro_batch_size: 1\ndatasets: [{path: a.jsonl, type: completion}]\n")
    (dropped,) = migrate(path).dropped
    assert dropped.why.startswith("datasets[0].type: 'completion' has no counterpart here")


@pytest.mark.parametrize("tool", EXPECTED)
def test_as_a_configuration_it_is_recognised(tmp_path: Path, tool: str) -> None:
    (tmp_path / "training-config.yaml").write_text(EXPECTED[tool][0])
    with pytest.raises(ConfigError) as raised:
        layers.load(tmp_path / "training-config.json")
    assert "config migrate training-config.yaml" in (raised.value.hint or "")
