"""Options of one configuration that exclude each other, on whatever machine."""

from __future__ import annotations

from os.path import normpath
from pathlib import PurePath

from factory.config import Config
from factory.errors import ConfigError


def refuse(config: Config) -> None:
    """Raise ConfigError for the first contradiction, naming the field and the reason."""
    contradictions = (*_formats(config), *_adapter(config), *_evaluations(config))
    for refused, field, reason in (*contradictions, *_folders(config)):
        if refused:
            raise ConfigError(reason, where=field)


# What the workspace keeps beside the models.
OWN_FOLDERS = ("training-config.json", ".factory", "logs", "metrics", "models/release", "scripts")
Refusal = tuple[object, str, str]


def _formats(config: Config) -> list[Refusal]:
    model, training = config.model, config.training
    return [
        (
            training.fp16 and training.bf16,
            "training.fp16",
            "fp16 and bf16 exclude each other",
        ),
        (
            model.load_in_4bit and model.full_finetuning,
            "model.load_in_4bit",
            "full fine-tuning trains the weights themselves, which 4-bit freezes",
        ),
        (
            training.packing and training.group_by_length,
            "training.packing",
            "packed rows have one length: set training.group_by_length to false",
        ),
    ]


def _adapter(config: Config) -> list[Refusal]:
    model, lora, training = config.model, config.lora, config.training
    return [
        (
            lora.finetune_vision_layers,
            "lora.finetune_vision_layers",
            "only text is trained here",
        ),
        (
            not lora.finetune_language_layers,
            "lora.finetune_language_layers",
            "without language layers nothing is left to train",
        ),
        (
            model.full_finetuning and lora.modules_to_save,
            "lora.modules_to_save",
            "full fine-tuning trains every module already",
        ),
        (
            model.full_finetuning and lora.use_dora,
            "lora.use_dora",
            "full fine-tuning trains no adapter",
        ),
        (
            model.full_finetuning and lora.use_rslora,
            "lora.use_rslora",
            "full fine-tuning trains no adapter",
        ),
        (
            model.full_finetuning and lora.bias != "none",
            "lora.bias",
            "full fine-tuning trains no adapter",
        ),
        (
            model.full_finetuning and training.embedding_learning_rate is not None,
            "training.embedding_learning_rate",
            "full fine-tuning trains every weight at training.learning_rate",
        ),
        (
            training.embedding_learning_rate is not None
            and not {"embed_tokens", "lm_head"} & set(lora.modules_to_save),
            "training.embedding_learning_rate",
            "no embedding is trained: add embed_tokens or lm_head to lora.modules_to_save",
        ),
    ]


def _evaluations(config: Config) -> list[Refusal]:
    training = config.training
    needs_best = training.load_best_model_at_end or training.early_stopping_patience is not None
    warmed = "warmup_steps" in training.model_fields_set and training.warmup_steps > 0
    return [
        (
            training.early_stopping_threshold and training.early_stopping_patience is None,
            "training.early_stopping_threshold",
            "it is of early stopping: set training.early_stopping_patience, too",
        ),
        (
            warmed and training.lr_scheduler_type == "constant",
            "training.warmup_steps",
            "the scheduler constant has no warm-up: constant_with_warmup has",
        ),
        (
            training.early_stopping_patience is not None and training.eval_steps == 0,
            "training.early_stopping_patience",
            "early stopping needs evaluations: training.eval_steps is 0",
        ),
        (
            training.load_best_model_at_end and training.eval_steps == 0,
            "training.load_best_model_at_end",
            "the best checkpoint needs evaluations: training.eval_steps is 0",
        ),
        (
            needs_best and training.eval_steps and training.save_steps % training.eval_steps,
            "training.save_steps",
            "must be a multiple of training.eval_steps to keep the best checkpoint",
        ),
    ]


def _paths(given: str | list[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else given or []


def _folders(config: Config) -> list[Refusal]:
    """Folders that training replaces as a whole hold nothing else."""
    save, dataset = config.save, config.dataset
    replaced = [
        ("training.output_dir", config.training.output_dir),
        ("save.lora_path", save.lora_path),
        ("save.merged_path", save.merged_path),
    ]
    others = [
        ("model.name", config.model.name),
        ("dataset.path", dataset.path),
        ("dataset.validation_path", dataset.validation_path),
        ("dataset.test_path", dataset.test_path),
        ("save.gguf_path", save.gguf_path),
        *(("dataset.sources", path) for entry in dataset.entries() for path in _paths(entry.path)),
        *((name, name) for name in OWN_FOLDERS),
    ]
    return [
        (
            name != field and PurePath(normpath(path)).is_relative_to(normpath(folder)),
            field,
            f"training replaces the folder {folder!r}, and {name} ({path!r}) is in it",
        )
        for field, folder in replaced
        for name, path in (*replaced, *others)
    ]
