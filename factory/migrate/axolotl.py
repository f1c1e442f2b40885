"""Axolotl's YAML (its `docs/config.qmd`)."""

from __future__ import annotations

from typing import Any

from factory.data.indexes import axolotl
from factory.data.indexes.refusal import Refused
from factory.migrate.rules import (
    NoCounterpart,
    Tool,
    Values,
    auto,
    checkpointing,
    choice,
    modules,
    optimizer,
    path,
    secret,
    to,
    validation_share,
)


def _adapter(value: Any) -> Values:
    if value == "qlora":
        return {"model.load_in_4bit": True}
    if value == "lora":
        return {}
    raise NoCounterpart("lora or qlora; model.full_finetuning trains every weight")


def _datasets(value: Any) -> Values:
    """As `run format` reads such a list itself; what is a file there stays one."""
    try:
        found = axolotl.sources(value, exists=lambda path: False)
    except Refused as refused:
        raise NoCounterpart(f"{refused.place}: {refused}") from None
    for table in found:
        if "path" in table:
            table["path"] = path("dataset.sources")(table["path"])["dataset.sources"]
    return {"dataset.sources": found}


def _linear(value: Any) -> Values:
    return {"lora.target_modules": "all-linear"} if value else {}


def _eight_bits(value: Any) -> Values:
    if value:
        raise NoCounterpart("4 bit or 16 bit: set model.load_in_4bit")
    return {}


_ATTENTION = "model.attn_implementation; decided by the hardware"
_PER_EPOCH = "a number of steps is needed here: {}"

AXOLOTL = Tool(
    name="Axolotl",
    marks=frozenset({"base_model", "micro_batch_size", "sequence_len", "datasets", "adapter"}),
    rules={
        "base_model": to("model.name"),
        "revision_of_model": to("model.revision"),
        "load_in_4bit": to("model.load_in_4bit"),
        "load_in_8bit": _eight_bits,
        "sequence_len": to("model.max_seq_length"),
        "adapter": _adapter,
        "datasets": _datasets,
        "val_set_size": validation_share,
        "excess_length_strategy": choice(
            "dataset.excess_length", {"drop": "drop", "raise": "error"}
        ),
        "chat_template_jinja": to("dataset.chat_template"),
        "dataset_processes": to("dataset.num_proc"),
        "lora_r": to("lora.r"),
        "lora_alpha": to("lora.lora_alpha"),
        "lora_dropout": to("lora.lora_dropout"),
        "lora_target_modules": modules,
        "lora_target_linear": _linear,
        "lora_modules_to_save": to("lora.modules_to_save"),
        "peft_use_dora": to("lora.use_dora"),
        "peft_use_rslora": to("lora.use_rslora"),
        "gradient_checkpointing": checkpointing,
        "micro_batch_size": to("training.per_device_train_batch_size"),
        "eval_batch_size": to("training.per_device_eval_batch_size"),
        "gradient_accumulation_steps": to("training.gradient_accumulation_steps"),
        "learning_rate": to("training.learning_rate"),
        "embedding_lr": to("training.embedding_learning_rate"),
        "num_epochs": to("training.num_train_epochs"),
        "max_steps": to("training.max_steps"),
        "lr_scheduler": to("training.lr_scheduler_type"),
        "warmup_steps": to("training.warmup_steps"),
        "warmup_ratio": to("training.warmup_steps"),
        "weight_decay": to("training.weight_decay"),
        "max_grad_norm": to("training.max_grad_norm"),
        "optimizer": optimizer,
        "bf16": auto("training.bf16"),
        "tf32": auto("training.tf32"),
        "fp16": auto("training.fp16"),
        "sample_packing": to("training.packing"),
        "neftune_noise_alpha": to("training.neftune_noise_alpha"),
        "group_by_length": to("training.group_by_length"),
        "logging_steps": to("training.logging_steps"),
        "save_steps": to("training.save_steps"),
        "save_total_limit": to("training.save_total_limit"),
        "eval_steps": to("training.eval_steps"),
        "early_stopping_patience": to("training.early_stopping_patience"),
        "seed": to("training.seed"),
        "output_dir": path("save.lora_path"),
        "hub_model_id": to("save.hub_model_id"),
        "wandb_project": lambda value: {"wandb.project": value, "wandb.enabled": bool(value)},
        "wandb_name": to("wandb.run_name"),
        "hf_use_auth_token": secret,
    },
    dropped={
        "chat_template": "the model's own chat template is used; dataset.chat_template overrides",
        "flash_attention": _ATTENTION,
        "sdp_attention": _ATTENTION,
        "xformers_attention": _ATTENTION,
        "train_on_inputs": "responses only, always: proven on the real rows before the first step",
        "pad_to_sequence_len": "batches are padded to their longest row",
        "dataset_prepared_path": "data/splits holds the prepared rows",
        "evals_per_epoch": _PER_EPOCH.format("training.eval_steps"),
        "saves_per_epoch": _PER_EPOCH.format("training.save_steps"),
        "resume_from_checkpoint": "resuming from the newest valid checkpoint is automatic",
        "strict": "unknown fields are always errors",
        "trust_remote_code": "code of a model repository is never run",
        "deepspeed": "one device",
        "fsdp": "one device",
        "special_tokens": "set in the base model's tokenizer, so that they are exported with it",
        "model_type": "known from the model's config.json",
        "tokenizer_type": "known from the model's tokenizer_config.json",
    },
    implied={
        "training.per_device_train_batch_size": 1,
        "training.gradient_accumulation_steps": 1,
        "training.num_train_epochs": 1,
        "training.warmup_steps": 0,
        "training.weight_decay": 0.0,
        "training.lr_scheduler_type": "cosine",
        "training.optim": "adamw_torch_fused",
    },
)
