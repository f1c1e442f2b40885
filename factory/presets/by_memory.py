"""A preset that is picked by the memory of the machine: `by_memory = ["small", "large"]`.

Each preset in the list names a hardware profile. The one whose profile asks for the most memory
that the machine has is taken: the GPU that is found here, or the profile that `hardware` names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory import hardware
from factory.errors import ConfigError

if TYPE_CHECKING:
    from factory.presets import Catalog

GB = 1_000_000_000


@dataclass(frozen=True)
class Choice:
    """The preset that counts, and why it is another than the one that was named."""

    preset: str
    reason: str = ""


def choose(catalog: Catalog, name: str, machine: str | None) -> Choice:
    """The preset that `name` means on a machine: itself, or the one that its memory allows.

    `machine` is a hardware profile; None: the GPU here. Raises ConfigError where there is no GPU,
    or one that is too small for all.
    """
    listed = catalog.preset(name).by_memory
    if not listed:
        return Choice(name)
    needs = {member: _needed(catalog, name, member) for member in listed}
    available, whose = _available(catalog, name, machine)
    fitting = [member for member in listed if needs[member] <= available]
    if not fitting:
        least = min(listed, key=needs.__getitem__)
        raise ConfigError(
            f"{whose} has {available:.1f} GB, the smallest of {name!r} ({least}) needs "
            f"{needs[least]:g} GB",
            where=f"preset {name}",
            hint="python -m factory presets suggest ranks what fits this machine",
        )
    best = max(fitting, key=needs.__getitem__)
    reason = f"{name}: {whose} has {available:.1f} GB, {best} is for {needs[best]:g} GB and more"
    return Choice(best, reason)


def _needed(catalog: Catalog, name: str, member: str) -> float:
    profile = catalog.preset(member).hardware
    if profile is None:
        raise ConfigError(f"{member!r} names no hardware", where=f"preset {name}, by_memory")
    return catalog.hardware(profile).available_memory_gb


def _available(catalog: Catalog, name: str, machine: str | None) -> tuple[float, str]:
    """GB of memory, and what has it."""
    if machine is not None:
        catalog.entry("hardware", machine, where="hardware")
        return catalog.hardware(machine).available_memory_gb, catalog.hardware(machine).name
    gpu = hardware.detect().accelerator
    if gpu is None:
        members = ", ".join(catalog.preset(name).by_memory)
        raise ConfigError(
            "it is picked by the memory of the GPU, and this machine has none",
            where=f"preset {name}",
            hint=f"name one of {members}, or the machine that it is for: --set hardware=NAME, or "
            '"hardware" in the configuration (python -m factory presets --hardware)',
        )
    return gpu.memory / GB, gpu.name
