"""What every command line may say, and how its answer is printed."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.errors import ConfigError

if TYPE_CHECKING:
    from factory.console import Console
    from factory.context import Context
    from factory.layers import Resolved


def root(options: argparse.Namespace) -> Path:
    """The workspace folder: `-C DIR`, or the current one."""
    folder = Path(getattr(options, "workspace", "."))
    if not folder.is_dir():
        raise ConfigError("no such folder", where=f"-C {folder}")
    return folder


def from_here(text: str, options: argparse.Namespace) -> str:
    """The commands in a text, for the folder that this one was typed in: with its `-C DIR`."""
    folder = getattr(options, "workspace", None)
    if folder is None:
        return text
    return re.sub(
        r"python -m factory (?!-C )",
        lambda _: f"python -m factory -C {shlex.quote(folder)} ",
        text,
    )


def wants_json(options: argparse.Namespace) -> bool:
    """Whether `--json` was given."""
    return bool(getattr(options, "json", False))


def print_json(value: Any) -> None:
    """The one JSON document of a command, on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def console(options: argparse.Namespace) -> Console:
    """Where a command speaks to a person."""
    from factory.console import Console

    return Console(json_mode=wants_json(options))


def resolved(options: argparse.Namespace) -> Resolved:
    """The configuration of the workspace in layers, as the command line wants it."""
    from factory import layers
    from factory.workspace import Workspace

    return layers.load(
        Workspace(root(options)).config_path,
        getattr(options, "overrides", []),
        preset=getattr(options, "preset", None),
        fit=getattr(options, "fit", None) or None,
    )


def context(options: argparse.Namespace) -> Context:
    """The surroundings of a stage: workspace, configuration, console."""
    from factory.context import Context
    from factory.workspace import Workspace

    found = resolved(options)
    spoken = console(options)
    if getattr(options, "preset", None):
        spoken.line(f'preset {options.preset}: to keep it, write "preset" into the configuration')
    return Context(
        workspace=Workspace(root(options)),
        config=found.config,
        console=spoken,
        force=getattr(options, "force", False),
        decisions=found.decisions,
    )


def add_layer_options(parser: argparse.ArgumentParser) -> None:
    """`--preset`, `--fit` and `--set`: what is laid below and above the configuration file."""
    parser.add_argument("--preset", metavar="NAME", help="use this preset (factory presets)")
    parser.add_argument(
        "--fit",
        action="store_true",
        help="lower what the preset's hardware does not allow, and record it",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one configuration value, e.g. training.learning_rate=1e-4",
    )
