"""LLaMA-Factory's YAML (its `examples/train_lora`; defaults from its `hparams`)."""

from __future__ import annotations

from typing import Any

from factory.data.indexes.llamafactory import FILE_NAME
from factory.migrate.rules import (
    NoCounterpart,
    Tool,
    Values,
    auto,
    checkpointing,
    data_file,
    four_bits,
    modules,
    optimizer,
    path,
    to,
    unless,
    validation_share,
)


def _stage(value: Any) -> Values:
    if value != "sft":
        raise NoCounterpart("only supervised fine-tuning (sft) is done here")
    return {}


def _finetuning_type(value: Any) -> Values:
    if value not in ("lora", "full"):
        raise NoCounterpart("lora or full")
    return {"model.full_finetuning": value == "full"}


def _datasets(value: Any) -> Values:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not any("." in name for name in names):
        return {"dataset.sources": [{"path": f"{_FOLDER}/{FILE_NAME}", "entries": names}]}
    return data_file(names)


def _dataset_dir(value: Any) -> Values:
    if value != _FOLDER:
        raise NoCounterpart(f"set path in dataset.sources to {value}/{FILE_NAME}")
    return {}


def _report_to(value: Any) -> Values:
    names = [value] if isinstance(value, str) else list(value or [])
    return {"tracking.report_to": [name for name in names if name not in ("none", "all")]}


_TEMPLATE = "the model's own chat template is used; dataset.chat_template overrides it"
_FOLDER = "data"  # its default of dataset_dir
_OURS = "done here without a switch"

LLAMA_FACTORY = Tool(
    name="LLaMA-Factory",
    marks=frozenset({"model_name_or_path", "finetuning_type", "cutoff_len", "stage", "lora_rank"}),
    rules={
        "model_name_or_path": to("model.name"),
        "model_revision": to("model.revision"),
        "stage": _stage,
        "finetuning_type": _finetuning_type,
        "quantization_bit": four_bits,
        "cutoff_len": to("model.max_seq_length"),
        "dataset": _datasets,
        "dataset_dir": _dataset_dir,
        "val_size": validation_share,
        "preprocessing_num_workers": to("dataset.num_proc"),
        "lora_rank": to("lora.r"),
        "lora_alpha": to("lora.lora_alpha"),
        "lora_dropout": to("lora.lora_dropout"),
        "lora_target": modules,
        "additional_target": lambda value: {
            "lora.modules_to_save": value.split(",") if isinstance(value, str) else value
        },
        "use_dora": to("lora.use_dora"),
        "use_rslora": to("lora.use_rslora"),
        "gradient_checkpointing": checkpointing,
        "per_device_train_batch_size": to("training.per_device_train_batch_size"),
        "per_device_eval_batch_size": to("training.per_device_eval_batch_size"),
        "gradient_accumulation_steps": to("training.gradient_accumulation_steps"),
        "learning_rate": to("training.learning_rate"),
        "num_train_epochs": to("training.num_train_epochs"),
        "max_steps": unless(-1, "training.max_steps"),
        "lr_scheduler_type": to("training.lr_scheduler_type"),
        "warmup_ratio": to("training.warmup_steps"),
        "warmup_steps": to("training.warmup_steps"),
        "weight_decay": to("training.weight_decay"),
        "max_grad_norm": to("training.max_grad_norm"),
        "optim": optimizer,
        "bf16": auto("training.bf16"),
        "fp16": auto("training.fp16"),
        "packing": to("training.packing"),
        "neftune_noise_alpha": to("training.neftune_noise_alpha"),
        "logging_steps": to("training.logging_steps"),
        "save_steps": to("training.save_steps"),
        "save_total_limit": to("training.save_total_limit"),
        "eval_steps": to("training.eval_steps"),
        "load_best_model_at_end": to("training.load_best_model_at_end"),
        "seed": to("training.seed"),
        "output_dir": path("save.lora_path"),
        "export_dir": path("save.merged_path"),
        "export_hub_model_id": to("save.hub_model_id"),
        "report_to": _report_to,
        "run_name": to("tracking.run_name"),
    },
    dropped={
        "template": _TEMPLATE,
        "max_samples": "every row is used; make the source smaller instead",
        "do_train": "python -m factory run finetune",
        "do_eval": "python -m factory run evaluate",
        "eval_strategy": "training.eval_steps: null is each epoch, 0 never",
        "overwrite_cache": "nothing is cached that could be stale",
        "overwrite_output_dir": "python -m factory run finetune --force",
        "plot_loss": _OURS,
        "resume_from_checkpoint": "resuming from the newest valid checkpoint is automatic",
        "ddp_timeout": "one device",
        "dataloader_num_workers": _OURS,
        "save_only_model": "checkpoints are whole, so that they can be resumed",
        "trust_remote_code": "code of a model repository is never run",
        "flash_attn": "model.attn_implementation",
        "adapter_name_or_path": "training starts from the base model",
    },
    implied={
        "model.max_seq_length": 2048,
        "lora.r": 8,
        "lora.lora_alpha": lambda moved: 2 * moved.get("lora.r", 8),
        "lora.target_modules": "all-linear",
        "training.learning_rate": 5e-5,
        "training.per_device_train_batch_size": 8,
        "training.gradient_accumulation_steps": 1,
        "training.warmup_steps": 0,
        "training.weight_decay": 0.0,
        "training.optim": "adamw_torch",
        "training.seed": 42,
    },
)
