"""`factory models list|show|diff|promote`: the releases of this workspace."""

from __future__ import annotations

import argparse
import json
from typing import Any

from factory.commands import invocation


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Declare the command and its verbs."""
    summary = "the releases of this workspace: list, show, compare, promote"
    models = commands.add_parser("models", help=summary, description=summary, allow_abbrev=False)
    verbs = models.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(name: str, summary: str, function: Any) -> Any:
        verb = verbs.add_parser(
            name, help=summary, description=summary, parents=[shared], allow_abbrev=False
        )
        verb.set_defaults(function=function)
        return verb

    which = "a release, its version, or a channel"
    add("list", "every release with its figures and channels", _list)
    add("show", "what a release is made of", _show).add_argument("name", metavar="R", help=which)
    diff = add("diff", "what two releases differ in", _diff)
    diff.add_argument("a", metavar="A", help=which)
    diff.add_argument("b", metavar="B", help=which)
    promote = add("promote", "point a channel to a release that is intact", _promote)
    promote.add_argument("name", metavar="R", help=which)
    promote.add_argument(
        "--to", dest="channel", default="production", help="the channel (default: production)"
    )


def _list(options: argparse.Namespace) -> int:
    from factory import registry
    from factory.workspace import Workspace

    workspace = Workspace(invocation.root(options))
    channels = registry.channels(workspace)
    found = [release.summary(channels) for release in registry.all_releases(workspace)]
    if invocation.wants_json(options):
        invocation.print_json({"releases": found, "channels": channels})
        return 0
    if not found:
        invocation.console(options).line("no releases yet: python -m factory run all makes one")
        return 0
    columns = ["name", "version", "base", "exact_match", "loss", "gguf", "ended_at", "channels"]
    rows = [[_cell(release[column]) for column in columns] for release in found]
    invocation.console(options).table(columns, rows)
    return 0


def _show(options: argparse.Namespace) -> int:
    from factory import registry
    from factory.workspace import Workspace

    release = registry.find(Workspace(invocation.root(options)), options.name)
    invocation.print_json({"name": release.name, "folder": str(release.folder), **release.metadata})
    return 0


def _diff(options: argparse.Namespace) -> int:
    from factory import registry
    from factory.workspace import Workspace

    workspace = Workspace(invocation.root(options))
    left, right = (registry.find(workspace, name) for name in (options.a, options.b))
    found = registry.compare(left, right)
    if invocation.wants_json(options):
        invocation.print_json({key: {"a": a, "b": b} for key, (a, b) in found.items()})
        return 0
    if not found:
        print("no difference")
        return 0
    rows = [(key, _cell(a), _cell(b)) for key, (a, b) in found.items()]
    invocation.console(options).table(["field", left.name, right.name], rows)
    return 0


def _promote(options: argparse.Namespace) -> int:
    from factory import registry
    from factory.workspace import Workspace

    release = registry.promote(Workspace(invocation.root(options)), options.name, options.channel)
    if invocation.wants_json(options):
        invocation.print_json({"channel": options.channel, "release": release.name})
    else:
        print(f"{options.channel} is now {release.name}")
    return 0


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
