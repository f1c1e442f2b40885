"""`metadata.json` of an adapter folder: who it is, on what it was trained, and how.

The fields are the seeds' (their metadata.json and specialist_config.json in one), so that an
adapter that is copied away alone still says where it came from. A release has a longer one.
"""

from __future__ import annotations

from typing import Any

from factory import base_model, provenance, storage
from factory.config import Config
from factory.context import Context

NAME = "metadata.json"


def write(context: Context) -> None:
    """Write metadata.json beside the adapter; there is none when every weight was trained."""
    folder = context.path("save.lora_path")
    if folder.is_dir() and not context.config.model.full_finetuning:
        stats = storage.read_json(context.workspace.training_stats)
        storage.write_json(folder / NAME, build(context, stats))


def build(context: Context, stats: dict[str, Any]) -> dict[str, Any]:
    """The content; `stats` is metrics/training-stats.json."""
    config = context.config
    commit, dirty = provenance.git_state(context.workspace.root)
    return {
        "expert": expert(config),
        "model": model(context),
        "training": {
            "dataset": config.dataset.sources,
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
    """The base model and the adapter on it."""
    base, lora = base_model.resolve(context), context.config.lora
    return {
        "base": base.name,
        "base_revision": base.revision,
        "lora_rank": lora.r,
        "lora_alpha": lora.lora_alpha,
        "lora_dropout": lora.lora_dropout,
        "target_modules": lora.target_modules,
    }
