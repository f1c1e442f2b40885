"""What a preset's hardware profile and base model allow, and what is over it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from factory.config import Config
from factory.errors import ConfigError
from factory.presets.tables import ExpertProfile, Hardware


@dataclass(frozen=True)
class Exceeded:
    """One limit that the configuration is over; `lowered` are the values that respect it."""

    message: str
    lowered: dict[str, Any]


def exceeded(
    config: Config, *, hardware: Hardware | None, expert: ExpertProfile | None
) -> list[Exceeded]:
    """Every limit the configuration is over, in a fixed order.

    Raises ConfigError for hardware that is marked unsupported: nothing can be lowered there.
    """
    found: list[Exceeded] = []
    if hardware is not None:
        if hardware.status.startswith("unsupported"):
            raise ConfigError(
                f"hardware {hardware.name!r} is marked {hardware.status!r}",
                hint=hardware.notes or "choose a preset for other hardware",
            )
        found += _rank(config, hardware)
        found += _batch(config, hardware)
        found += _sequence(config, hardware, expert)
        found += _precision(config, hardware)
        found += _checkpointing(config, hardware)
    elif expert is not None:
        found += _sequence(config, None, expert)
    return found


def _rank(config: Config, hardware: Hardware) -> Iterator[Exceeded]:
    limit = hardware.max_lora_rank
    if config.lora.r > limit:
        yield Exceeded(
            f"lora.r is {config.lora.r}, {hardware.name} allows {limit} (max_lora_rank)",
            {
                "lora.r": limit,
                # Keeps alpha / r, which scales the adapter.
                "lora.lora_alpha": max(1, round(config.lora.lora_alpha * limit / config.lora.r)),
            },
        )


def _batch(config: Config, hardware: Hardware) -> Iterator[Exceeded]:
    training, limit = config.training, hardware.max_batch_size
    batch = training.per_device_train_batch_size
    if batch > limit:
        effective = batch * training.gradient_accumulation_steps
        yield Exceeded(
            f"training.per_device_train_batch_size is {batch}, "
            f"{hardware.name} allows {limit} (max_batch_size)",
            {
                "training.per_device_train_batch_size": limit,
                # Keeps the effective batch, which the learning rate was chosen for.
                "training.gradient_accumulation_steps": math.ceil(effective / limit),
            },
        )


def _sequence(
    config: Config, hardware: Hardware | None, expert: ExpertProfile | None
) -> Iterator[Exceeded]:
    bounds = []
    if hardware is not None:
        bounds.append((hardware.max_sequence_length, f"{hardware.name}", "max_sequence_length"))
    # The window belongs to the expert's base model: another model has its own.
    if expert is not None and expert.context_window and config.model.name == expert.base_model:
        bounds.append((expert.context_window, expert.base_model, "context_window"))
    if not bounds:
        return
    limit, whose, name = min(bounds)
    if config.model.max_seq_length > limit:
        yield Exceeded(
            f"model.max_seq_length is {config.model.max_seq_length}, "
            f"{whose} allows {limit} ({name})",
            {"model.max_seq_length": limit},
        )


def _precision(config: Config, hardware: Hardware) -> Iterator[Exceeded]:
    for name, supported in (("bf16", hardware.supports_bf16), ("fp16", hardware.supports_fp16)):
        if getattr(config.training, name) and not supported:
            yield Exceeded(
                f"training.{name} is on, {hardware.name} has none (supports_{name})",
                {f"training.{name}": False},
            )


def _checkpointing(config: Config, hardware: Hardware) -> Iterator[Exceeded]:
    if config.lora.use_gradient_checkpointing and not hardware.supports_gradient_checkpointing:
        yield Exceeded(
            "lora.use_gradient_checkpointing is on, "
            f"{hardware.name} has none (supports_gradient_checkpointing)",
            {"lora.use_gradient_checkpointing": False},
        )
