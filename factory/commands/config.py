"""`factory config show|validate|diff|migrate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.commands import invocation

if TYPE_CHECKING:
    from factory.layers import Resolved


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Declare the command and its verbs."""
    summary = "show, validate, compare or migrate configurations"
    config = commands.add_parser("config", help=summary, description=summary, allow_abbrev=False)
    verbs = config.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(name: str, summary: str, function: Any) -> Any:
        verb = verbs.add_parser(
            name, help=summary, description=summary, parents=[shared], allow_abbrev=False
        )
        verb.set_defaults(function=function)
        return verb

    show = add("show", "the configuration, and where each value is from", _show)
    show.add_argument("--resolved", action="store_true", help="every field, with its origin")
    show.add_argument("--why", metavar="KEY", help="all values that one field got, and who won")
    invocation.add_layer_options(show)
    validate = add("validate", "check the configuration and presets.toml; run nothing", _validate)
    invocation.add_layer_options(validate)
    diff = add("diff", "what two configurations differ in", _diff)
    for name in ("a", "b"):
        diff.add_argument(
            name, metavar=name.upper(), help="a configuration file, a workspace or a preset"
        )
    migrate = add(
        "migrate",
        "rewrite a configuration of LLaMA-Factory, Axolotl, Unsloth or an older system",
        _migrate,
    )
    migrate.add_argument("file", metavar="FILE", help="YAML, TOML or JSON")
    migrate.add_argument("--from", dest="tool", metavar="TOOL", help="which tool it is of")
    migrate.add_argument("--output", metavar="FILE", help="write here (default: print)")


def _show(options: argparse.Namespace) -> int:
    resolved = invocation.resolved(options)
    if options.why:
        return _why(resolved, options)
    if options.resolved:
        return _show_resolved(resolved, options)
    given = {
        name: value
        for name, value in resolved.config.model_dump(mode="json", exclude_unset=True).items()
        if value != {}
    }
    invocation.print_json(given)
    return 0


def _why(resolved: Resolved, options: argparse.Namespace) -> int:
    origins = resolved.origins(options.why)
    if invocation.wants_json(options):
        values = [{"layer": layer, "value": value} for layer, value in origins]
        invocation.print_json({"key": options.why, "values": values})
        return 0
    for layer, value in origins[:-1]:
        print(f"  {layer}: {_text(value)}")
    layer, value = origins[-1]
    print(f"* {layer}: {_text(value)}")
    return 0


def _show_resolved(resolved: Resolved, options: argparse.Namespace) -> int:
    from factory import layers

    rows = [
        (key, value, resolved.origins(key)[-1][0]) for key, value in layers.flat(resolved).items()
    ]
    if invocation.wants_json(options):
        invocation.print_json({key: {"value": value, "layer": layer} for key, value, layer in rows})
    else:
        told = [(key, _text(value), layer) for key, value, layer in rows]
        invocation.console(options).table(["field", "value", "from"], told)
    return 0


def _validate(options: argparse.Namespace) -> int:
    from factory import presets

    resolved = invocation.resolved(options)
    presets.load(invocation.root(options)).check()
    files = list(dict.fromkeys(layer.where for layer in resolved.layers if layer.values))
    if invocation.wants_json(options):
        invocation.print_json({"valid": True, "layers": files})
    else:
        print(f"valid: {', '.join(files)}")
    return 0


def _diff(options: argparse.Namespace) -> int:
    from factory import layers

    folder = invocation.root(options)
    left, right = (layers.flat(layers.named(name, folder)) for name in (options.a, options.b))
    rows = [
        (key, left.get(key), right.get(key))
        for key in sorted({*left, *right})
        if left.get(key) != right.get(key)
    ]
    if invocation.wants_json(options):
        invocation.print_json({key: {"a": a, "b": b} for key, a, b in rows})
    elif rows:
        told = [(key, _text(a), _text(b)) for key, a, b in rows]
        invocation.console(options).table(["field", options.a, options.b], told)
    else:
        print("no difference")
    return 0


def _migrate(options: argparse.Namespace) -> int:
    from factory import migrate, storage

    result = migrate.migrate(Path(options.file), tool=options.tool)
    if options.output:
        storage.write_text(Path(options.output), result.text)
    if invocation.wants_json(options):
        invocation.print_json(result.as_json())
        return 0
    console = invocation.console(options)
    if not options.output:
        print(result.text, end="")
    console.line(f"from {result.tool}: {len(result.moved)} values have a counterpart here")
    if result.dropped:
        console.table(["without a counterpart", "value", "why"], result.rows())
    return 0


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
