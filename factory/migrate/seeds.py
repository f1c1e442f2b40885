"""The flat and the nested YAML of the older trainers that this product replaces."""

from __future__ import annotations

from typing import Any

from factory.migrate.rules import (
    NoCounterpart,
    Tool,
    Values,
    checkpointing,
    choice,
    data_file,
    four_bits,
    modules,
    optimizer,
    path,
    to,
    unless,
)


def _version(value: Any) -> Values:
    """`v2.1.0-lora` is version 2.1.0; the suffix names the kind of file."""
    return {"project.version": str(value).removeprefix("v").partition("-")[0]}


def _quantize_to(value: Any) -> Values:
    return {"save.gguf_quantization": [str(value).lower()]}


def _report_to(value: Any) -> Values:
    return {"tracking.report_to": [value] if isinstance(value, str) else value}


def _no_remote_code(value: Any) -> Values:
    if value:
        raise NoCounterpart("code of a model repository is never run")
    return {}


DTYPES = {"bfloat16": "bfloat16", "float16": "float16", "float32": "float32", "auto": None}
_MIX = "the weight of one source: dataset.mix"

FLAT = Tool(
    name="flat YAML (AJ)",
    marks=frozenset({"model_name", "lora_r", "train_file", "batch_size", "dataset_path"}),
    rules={
        "model_name": to("model.name"),
        "max_seq_length": to("model.max_seq_length"),
        "train_file": data_file,
        "dataset_path": data_file,
        "output_dir": path("save.lora_path"),
        "lora_r": to("lora.r"),
        "lora_alpha": to("lora.lora_alpha"),
        "lora_dropout": to("lora.lora_dropout"),
        "target_modules": modules,
        "batch_size": to("training.per_device_train_batch_size"),
        "gradient_accumulation_steps": to("training.gradient_accumulation_steps"),
        "num_epochs": to("training.num_train_epochs"),
        "num_train_epochs": to("training.num_train_epochs"),
        "max_steps": unless(-1, "training.max_steps"),
        "learning_rate": to("training.learning_rate"),
        "weight_decay": to("training.weight_decay"),
        "warmup_steps": to("training.warmup_steps"),
        "lr_scheduler": to("training.lr_scheduler_type"),
        "bf16": to("training.bf16"),
        "tf32": to("training.tf32"),
        "base_model_code": to("project.base_name"),
        "fp16": to("training.fp16"),
        "gradient_checkpointing": checkpointing,
        "logging_steps": to("training.logging_steps"),
        "save_steps": to("training.save_steps"),
        "eval_steps": to("training.eval_steps"),
        "version": _version,
    },
    dropped={
        "eval_file": "data/raw/NAME.eval.jsonl beside the train file is recognised by its name",
        "effective_batch_size": "batch times accumulation",
        "dataset_version": "metrics/dataset.json records the hash of every file",
        "context_switching_weight": _MIX,
    },
)

NESTED = Tool(
    name="nested YAML (QLoRA)",
    marks=frozenset(
        {"model.base_model", "model.quantization", "training.optim", "export.output_dir"}
    ),
    rules={
        "model.base_model": to("model.name"),
        "model.quantization": four_bits,
        "model.max_seq_length": to("model.max_seq_length"),
        "model.dtype": choice("model.dtype", DTYPES),
        "model.trust_remote_code": _no_remote_code,
        "lora.r": to("lora.r"),
        "lora.lora_alpha": to("lora.lora_alpha"),
        "lora.lora_dropout": to("lora.lora_dropout"),
        "lora.target_modules": modules,
        "lora.bias": to("lora.bias"),
        "training.output_dir": path("training.output_dir"),
        "training.num_train_epochs": to("training.num_train_epochs"),
        "training.per_device_train_batch_size": to("training.per_device_train_batch_size"),
        "training.gradient_accumulation_steps": to("training.gradient_accumulation_steps"),
        "training.learning_rate": to("training.learning_rate"),
        "training.weight_decay": to("training.weight_decay"),
        "training.warmup_ratio": to("training.warmup_steps"),
        "training.warmup_steps": to("training.warmup_steps"),
        "training.lr_scheduler_type": to("training.lr_scheduler_type"),
        "training.logging_steps": to("training.logging_steps"),
        "training.save_steps": to("training.save_steps"),
        "training.eval_steps": to("training.eval_steps"),
        "training.save_total_limit": to("training.save_total_limit"),
        "training.fp16": to("training.fp16"),
        "training.bf16": to("training.bf16"),
        "training.gradient_checkpointing": checkpointing,
        "training.optim": optimizer,
        "training.max_grad_norm": to("training.max_grad_norm"),
        "training.group_by_length": to("training.group_by_length"),
        "training.report_to": _report_to,
        "data.eval_split": lambda value: {
            "dataset.split_ratios": [round(1 - 2 * value, 6), value, value]
        },
        "data.seed": to("dataset.seed"),
        "export.quantize_to": _quantize_to,
    },
    dropped={
        "lora.task_type": "causal language models only",
        "training.dataloader_num_workers": "done here without a switch",
        "training.dataloader_pin_memory": "done here without a switch",
        "data.shuffle": "the split is seeded, and the trainer shuffles each epoch",
        "export.output_dir": "models/release/NAME-vX.Y.Z",
        "export.merge_weights": "always",
        "export.ollama_model_name": "the release holds a Modelfile for ollama create",
    },
)
