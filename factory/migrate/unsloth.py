"""The YAML of `unsloth train --config` (defaults from `unsloth_cli/config.py`, 2026.10.9)."""

from __future__ import annotations

from typing import Any

from factory.migrate.rules import (
    NoCounterpart,
    Tool,
    Values,
    checkpointing,
    data_file,
    modules,
    path,
    secret,
    to,
    unless,
)


def _training_type(value: Any) -> Values:
    if value not in ("lora", "full"):
        raise NoCounterpart("lora or full")
    return {"model.full_finetuning": value == "full"}


def _format(value: Any) -> Values:
    if value not in ("auto", "alpaca", "sharegpt"):
        raise NoCounterpart("the format of each row is detected")
    return {"dataset.format": value}


def _all_linear(value: Any) -> Values:
    return {"lora.target_modules": "all-linear"} if value else {}


def _loftq(value: Any) -> Values:
    if value:
        raise NoCounterpart("adapters start at zero effect: LoftQ is not offered")
    return {}


def _tensorboard(value: Any) -> Values:
    return {"tracking.report_to": ["tensorboard"]} if value else {}


def _save_steps(value: Any) -> Values:
    return {"training.save_steps": value} if value else {}


UNSLOTH = Tool(
    name="Unsloth",
    marks=frozenset({"training.training_type", "data.local_dataset", "lora.lora_r"}),
    rules={
        "model": to("model.name"),
        "data.local_dataset": data_file,
        "data.dataset": data_file,
        "data.format_type": _format,
        "training.training_type": _training_type,
        "training.max_seq_length": to("model.max_seq_length"),
        "training.load_in_4bit": to("model.load_in_4bit"),
        "training.output_dir": path("save.lora_path"),
        "training.num_epochs": to("training.num_train_epochs"),
        "training.learning_rate": to("training.learning_rate"),
        "training.batch_size": to("training.per_device_train_batch_size"),
        "training.gradient_accumulation_steps": to("training.gradient_accumulation_steps"),
        "training.warmup_steps": to("training.warmup_steps"),
        "training.max_steps": unless(0, "training.max_steps"),
        "training.save_steps": _save_steps,
        "training.weight_decay": to("training.weight_decay"),
        "training.random_seed": to("training.seed", "lora.random_state"),
        "training.packing": to("training.packing"),
        "training.gradient_checkpointing": checkpointing,
        "lora.lora_r": to("lora.r"),
        "lora.lora_alpha": to("lora.lora_alpha"),
        "lora.lora_dropout": to("lora.lora_dropout"),
        "lora.target_modules": modules,
        "lora.vision_all_linear": _all_linear,
        "lora.use_rslora": to("lora.use_rslora"),
        "lora.use_dora": to("lora.use_dora"),
        "lora.use_loftq": _loftq,
        "lora.finetune_vision_layers": to("lora.finetune_vision_layers"),
        "lora.finetune_language_layers": to("lora.finetune_language_layers"),
        "lora.finetune_attention_modules": to("lora.finetune_attention_modules"),
        "lora.finetune_mlp_modules": to("lora.finetune_mlp_modules"),
        "logging.enable_wandb": to("wandb.enabled"),
        "logging.wandb_project": to("wandb.project"),
        "logging.enable_tensorboard": _tensorboard,
        "logging.wandb_token": secret,
        "logging.hf_token": secret,
    },
    dropped={
        "training.train_on_completions": "responses only, always",
        "logging.tensorboard_dir": "logs/",
    },
    implied={
        "model.load_in_4bit": True,
        "lora.r": 64,
        "lora.lora_alpha": 16,
        "lora.use_gradient_checkpointing": "unsloth",
    },
)
