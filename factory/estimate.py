"""How much memory a run needs, from the figures of its base model.

GB are 10^9 bytes. The parts are computed; three constants are calibrated on Unsloth's table of
least VRAM, see `docs/presets.md`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from factory.architecture import FEED_FORWARD, Architecture, of_model
from factory.config import Config

GB = 1_000_000_000
# nf4: 4 bits a weight, one 8-bit scale for 64 of them, one 32-bit scale for 256 scales
# (Dettmers et al. 2023, double quantization).
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8
HALF_BYTES = 2
# Trained weights and their gradients are float32 beside a frozen base.
TRAINED_BYTES, GRADIENT_BYTES = 4, 4
# Bytes of optimizer state for each trained weight; paged states may leave the device.
OPTIMIZER_BYTES = {
    "adamw_8bit": 2,
    "paged_adamw_8bit": 2,
    "paged_adamw_32bit": 8,
    "lion_8bit": 1,
    "adamw_torch": 8,
    "adamw_torch_fused": 8,
    "adafactor": 0,
    "sgd": 0,
}
# Logits are computed in pieces, so that a large vocabulary needs no more than this. Calibrated.
LOGITS_BYTES = 285_000_000
# Calibrated: what the allocator and temporary copies add, as a share of everything else.
RESERVE_16BIT = 0.13
RESERVE_4BIT = 0.042


PHASES = ("loading", "training", "saving")


@dataclass(frozen=True)
class Estimate:
    """GB on the device while training, by what they are for; `merged` is in main memory."""

    weights: float
    adapter: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    dequantization: float
    reserve: float
    merged: float

    @property
    def loading(self) -> float:
        """Peak of the phase before training."""
        return self.weights + self.adapter

    @property
    def training(self) -> float:
        """Peak of the training phase: everything at once."""
        return sum(asdict(self).values()) - self.merged

    @property
    def saving(self) -> float:
        """Main memory while the adapter is merged into the 16-bit weights."""
        return self.merged

    def as_json(self) -> dict[str, Any]:
        """Rounded, with the peak of each phase."""
        parts = {name: round(value, 3) for name, value in asdict(self).items()}
        phases = {name: round(getattr(self, name), 3) for name in PHASES}
        return {"parts_gb": parts, "phases_gb": phases}


def estimate(config: Config, architecture: Architecture) -> Estimate:
    """The memory of one training process with `config` on a model of this `architecture`."""
    full = config.model.full_finetuning
    four_bits = config.model.load_in_4bit and not full
    trained = architecture.parameters if full else adapter_parameters(config, architecture)
    weights = weight_bytes(architecture, four_bits=four_bits)
    parts = {
        "weights": weights,
        "adapter": 0 if full else trained * TRAINED_BYTES,
        # A model that is trained whole stays in 16 bit, and so do its gradients.
        "gradients": trained * (HALF_BYTES if full else GRADIENT_BYTES),
        "optimizer": trained * OPTIMIZER_BYTES[config.training.optim],
        "activations": activation_bytes(config, architecture),
        "logits": logit_bytes(config, architecture),
        "dequantization": _largest_layer(architecture) * HALF_BYTES if four_bits else 0,
    }
    reserve = (RESERVE_4BIT if four_bits else RESERVE_16BIT) * sum(parts.values())
    return Estimate(
        **{name: value / GB for name, value in parts.items()},
        reserve=reserve / GB,
        merged=architecture.parameters * HALF_BYTES / GB,
    )


def of_config(config: Config, root: Path | None = None) -> Estimate | None:
    """The estimate for a configuration, or None if its base model's figures are not known."""
    architecture = of_model(config.model.name, root=root)
    return None if architecture is None else estimate(config, architecture)


def adapter_parameters(config: Config, architecture: Architecture) -> int:
    """Trained weights of the LoRA adapter: r * (inputs + outputs) for each target.

    The experts of a mixture are not adapted: their weights are no linear layers.
    """
    modules = architecture.modules()
    targets = config.lora.target_modules
    wanted = modules if targets == "all-linear" else [name for name in targets if name in modules]
    dense = architecture.num_local_experts == 1
    one_layer = sum(sum(modules[name]) for name in wanted if dense or name not in FEED_FORWARD)
    saved = config.lora.modules_to_save
    whole = sum(
        architecture.vocab_size * architecture.hidden_size
        for name in saved
        if name in ("embed_tokens", "lm_head")
    )
    return config.lora.r * one_layer * architecture.num_hidden_layers + whole


def weight_bytes(architecture: Architecture, *, four_bits: bool) -> float:
    """The frozen base: 4-bit loading leaves embeddings and the vision tower in 16 bit."""
    kept = architecture.embedding_parameters + architecture.other_parameters
    linear = architecture.linear_parameters
    return linear * (NF4_BYTES if four_bits else HALF_BYTES) + kept * HALF_BYTES


def activation_bytes(config: Config, architecture: Architecture) -> float:
    """What the backward pass keeps, in 16 bit.

    One layer's intermediates are alive in any case. Without checkpointing each layer's are; with
    it, each layer's input is, which Unsloth's own checkpointing moves to main memory.
    """
    tokens = config.training.per_device_train_batch_size * config.model.max_seq_length
    widths = sum(outputs for _, outputs in architecture.modules().values())
    routed = sum(architecture.modules()[name][1] for name in FEED_FORWARD)
    widths += routed * (architecture.num_experts_per_tok - 1)
    # Norms, residuals and rotated queries and keys: about six times the hidden size.
    one_layer = tokens * (widths + 6 * architecture.hidden_size) * HALF_BYTES
    checkpointing = config.lora.use_gradient_checkpointing
    if checkpointing is False:
        return one_layer * architecture.num_hidden_layers
    if checkpointing is True:
        inputs = tokens * architecture.hidden_size * HALF_BYTES
        return one_layer + inputs * architecture.num_hidden_layers
    return one_layer


def logit_bytes(config: Config, architecture: Architecture) -> float:
    """One piece of the logits in 16 and 32 bit."""
    tokens = config.training.per_device_train_batch_size * config.model.max_seq_length
    return float(min(tokens * architecture.vocab_size * (2 + 4), LOGITS_BYTES))


def _largest_layer(architecture: Architecture) -> int:
    """Weights of the largest linear layer, which is unpacked to 16 bit for each use."""
    return max(inputs * outputs for inputs, outputs in architecture.modules().values())
