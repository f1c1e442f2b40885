"""`factory presets suggest`: which presets fit this machine, with the estimate behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from factory import architecture, estimate, layers
from factory.config import Config
from factory.hardware import Machine
from factory.presets import Catalog

GB = 1_000_000_000
# The share of a device that a run may plan with: the rest is the driver's and the desktop's.
USABLE_SHARE = 0.95


@dataclass(frozen=True)
class Suggestion:
    """One preset on this machine; GB are 10^9 bytes."""

    preset: str
    model: str
    fits: bool
    needs_gb: float | None
    of_gb: float
    why: str

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def rank(catalog: Catalog, machine: Machine) -> list[Suggestion]:
    """Every preset: those that fit first, the largest base first; then the nearest misses."""
    found = [_judge(catalog, name, machine) for name in catalog.single_presets()]
    return sorted(found, key=_order)


def _order(suggestion: Suggestion) -> tuple[bool, float]:
    needs = suggestion.needs_gb or 0.0
    return (not suggestion.fits, -needs if suggestion.fits else needs)


def _judge(catalog: Catalog, name: str, machine: Machine) -> Suggestion:
    config = layers.of_preset(name, catalog).config
    gpu = machine.accelerator
    memory = (gpu.memory if gpu else machine.memory) * USABLE_SHARE / GB
    if gpu is None:
        # 4-bit weights need a GPU: on a CPU the base is loaded in 16 bit.
        config.model.load_in_4bit = False
    figures = architecture.of_model(config.model.name)
    needs = estimate.estimate(config, figures).training if figures else None
    return Suggestion(
        preset=name,
        model=config.model.name,
        fits=needs is not None and needs <= memory and _has_format(config, machine),
        needs_gb=None if needs is None else round(needs, 1),
        of_gb=round(memory, 1),
        why=_why(config, machine, needs),
    )


def _has_format(config: Config, machine: Machine) -> bool:
    gpu = machine.accelerator
    return not config.training.bf16 or (gpu.bf16 if gpu else machine.cpu_bf16)


def _why(config: Config, machine: Machine, needs: float | None) -> str:
    where = machine.accelerator.name if machine.accelerator else "main memory, as there is no GPU"
    if needs is None:
        return f"the figures of {config.model.name} are not known"
    if not _has_format(config, machine):
        return f"training.bf16 is on, and {where} has none"
    bits = "4 bit" if config.model.load_in_4bit else "16 bit"
    return f"{config.model.name} in {bits} on {where}"
