"""`factory presets`: what there is by name, and what fits this machine."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from factory.commands import invocation
from factory.errors import ConfigError

if TYPE_CHECKING:
    from factory.presets import Catalog

KINDS = ("experts", "hardware", "lora", "hyperparameters", "datasets")
# What the table of each kind shows, after the name.
COLUMNS = {
    "presets": ("expert", "hardware", "lora", "hyperparameters", "dataset", "description"),
    "experts": ("display_name", "role", "group", "base_model", "specialization"),
    "hardware": (
        "name",
        "device",
        "available_memory_gb",
        "max_batch_size",
        "max_sequence_length",
        "max_lora_rank",
        "supports_bf16",
    ),
    "lora": ("r", "lora_alpha", "lora_dropout", "target_modules"),
    "hyperparameters": ("learning_rate", "num_epochs", "max_steps", "warmup_steps", "lr_scheduler"),
    "datasets": ("path", "description", "quality_threshold", "domains"),
}


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    summary = "presets, experts, hardware and the rest by name; `suggest`: what fits this machine"
    parser = commands.add_parser(
        "presets", help=summary, description=summary, parents=[shared], allow_abbrev=False
    )
    kinds = parser.add_mutually_exclusive_group()
    for kind in KINDS:
        kinds.add_argument(
            f"--{kind}", dest="kind", action="store_const", const=kind, help=f"list {kind} instead"
        )
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="show this one in full, or: suggest"
    )
    parser.set_defaults(function=_presets, kind=None)


def _presets(options: argparse.Namespace) -> int:
    from factory import presets

    catalog = presets.load(invocation.root(options))
    kind = options.kind or "presets"
    if options.name == "suggest":
        if options.kind:
            raise ConfigError(f"suggest ranks presets: leave out --{options.kind}")
        return _suggest(catalog, options)
    if options.name:
        return _one(catalog, kind, options)
    return _all(catalog, kind, options)


def _all(catalog: Catalog, kind: str, options: argparse.Namespace) -> int:
    tables = {name: catalog.entry(kind, name).values for name in catalog.names(kind)}
    if invocation.wants_json(options):
        invocation.print_json(tables)
        return 0
    rows = [
        [name, *(_cell(values.get(column)) for column in COLUMNS[kind])]
        for name, values in tables.items()
    ]
    invocation.console(options).table([kind, *COLUMNS[kind]], rows)
    return 0


def _one(catalog: Catalog, kind: str, options: argparse.Namespace) -> int:
    entry = catalog.entry(kind, options.name)
    named = kind if kind in ("lora", "hardware", "hyperparameters") else kind.removesuffix("s")
    answer: dict[str, Any] = {named: options.name, "from": entry.where, **entry.values}
    if kind == "presets" and catalog.preset(options.name).by_memory:
        answer["here"] = _picked(catalog, options.name)
    if kind == "presets" and not catalog.preset(options.name).listed:
        from factory import estimate, layers

        config = layers.of_preset(options.name, catalog).config
        answer["resolved"] = config.model_dump(mode="json", exclude_unset=True)
        memory = estimate.of_config(config, invocation.root(options))
        answer["memory"] = memory.as_json() if memory else None
    if invocation.wants_json(options):
        invocation.print_json(answer)
        return 0
    for key, value in answer.items():
        told = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else _cell(value)
        print(f"{key}: {told}")
    return 0


def _picked(catalog: Catalog, name: str) -> str:
    """Which of its presets this machine's memory picks, or why none."""
    from factory.presets import by_memory

    try:
        return by_memory.choose(catalog, name, None).reason
    except ConfigError as error:
        return error.message


def _suggest(catalog: Catalog, options: argparse.Namespace) -> int:
    from factory import hardware, suggest

    ranked = suggest.rank(catalog, hardware.detect())
    if invocation.wants_json(options):
        invocation.print_json({"presets": [suggestion.as_json() for suggestion in ranked]})
        return 0
    invocation.console(options).table(
        ["preset", "fits", "needs GB", "of GB", "why"],
        [
            (found.preset, "yes" if found.fits else "no", found.needs_gb, found.of_gb, found.why)
            for found in ranked
        ],
    )
    return 0


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else value
