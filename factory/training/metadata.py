"""What an adapter folder says of itself: `metadata.json` and `specialist_config.json`.

The fields are the seeds', so that an adapter that is copied away alone still says who it is, on
what it was trained, and how. A release has both, too; its metadata.json is longer.
"""

from __future__ import annotations

from typing import Any

from factory import base_model, pipeline, provenance, storage
from factory.config import Config
from factory.context import Context

NAME = "metadata.json"
SPECIALIST = "specialist_config.json"


def write(context: Context) -> None:
    """Write both beside the adapter, or into the model that was trained as a whole."""
    folder = pipeline.tuned(context)
    stats = storage.read_json(context.workspace.training_stats)
    storage.write_json(folder / NAME, build(context, stats))
    storage.write_json(folder / SPECIALIST, specialist(context))


def build(context: Context, stats: dict[str, Any]) -> dict[str, Any]:
    """The content; `stats` is metrics/training-stats.json."""
    config = context.config
    commit, dirty = provenance.git_state(context.workspace.root)
    return {
        "expert": expert(config),
        "model": model(context),
        "training": {
            "dataset": [source.label for source in config.dataset.entries()],
            "num_samples": stats["samples"],
            "num_epochs": stats["epochs"],
            "steps": stats["total_steps"],
            "batch_size": stats["per_device_train_batch_size"],
            "gradient_accumulation": stats["gradient_accumulation_steps"],
            "learning_rate": config.training.learning_rate,
            "sequence_length": config.model.max_seq_length,
            "final_loss": stats["final_loss"],
            "duration_seconds": stats["duration_seconds"],
        },
        "hardware": {
            **provenance.machine(),
            "device": stats["device"],
            "dtype": stats["dtype"],
        },
        "metadata": {"created": provenance.now(), "git_commit": commit, "git_dirty": dirty},
    }


def expert(config: Config) -> dict[str, Any]:
    """Who the model is: the project, and the words of its expert."""
    project = config.project.model_dump(mode="json", include={"name", "version", "description"})
    return {**project, **config.expert.model_dump(mode="json")}


def model(context: Context) -> dict[str, Any]:
    """The base model and what was trained on it."""
    base, lora = base_model.resolve(context), context.config.lora
    origin = {"base": base.name, "base_revision": base.revision}
    if context.config.model.full_finetuning:
        return {**origin, "method": "full"}
    return {
        **origin,
        "method": "lora",
        "lora_rank": lora.r,
        "lora_alpha": lora.lora_alpha,
        "lora_dropout": lora.lora_dropout,
        "target_modules": lora.target_modules,
    }


def specialist(context: Context) -> dict[str, Any]:
    """The content of specialist_config.json: how to address the specialist, and its settings."""
    config = context.config
    return {
        "specialist_type": config.preset or config.project.name,
        "description": config.expert.specialization or config.project.description,
        "system_prompt": config.expert.system_prompt,
        "focus_tools": config.expert.focus_tools,
        "base_model": base_model.resolve(context).name,
        "training_args": {
            "max_seq_length": config.model.max_seq_length,
            "load_in_4bit": config.model.load_in_4bit,
            **config.training.model_dump(mode="json"),
        },
        **({} if config.model.full_finetuning else {"lora_config": _lora_config(config)}),
    }


def _lora_config(config: Config) -> dict[str, Any]:
    shown = {"r", "lora_alpha", "target_modules", "lora_dropout"}
    return config.lora.model_dump(mode="json", include=shown)
