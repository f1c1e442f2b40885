"""`factory release`: export under a new version, and push it if asked."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from factory.commands import invocation

if TYPE_CHECKING:
    from factory.context import Context


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    summary = "export a release, under a new version if asked, and push it to the hub if asked"
    release = commands.add_parser(
        "release", help=summary, description=summary, parents=[shared], allow_abbrev=False
    )
    release.add_argument(
        "--bump",
        choices=("major", "minor", "patch"),
        help="raise project.version first: major for a new base, minor for new data, "
        "patch for other settings",
    )
    release.add_argument(
        "--push", action="store_true", help="upload it (save.hub_model_id; HF_TOKEN)"
    )
    release.add_argument("--dry-run", action="store_true", help="say what it would do")
    release.set_defaults(function=_release)


def _release(options: argparse.Namespace) -> int:
    from factory import layers, pipeline, runner, version
    from factory.context import Context
    from factory.export import hub
    from factory.workspace import Workspace

    workspace = Workspace(invocation.root(options))
    overrides = ["save.push_to_hub=true"] if options.push else []
    if options.bump:
        new = version.bumped(
            layers.load(workspace.config_path).config.project.version, options.bump
        )
        overrides.append(f'project.version="{new}"')
    resolved = layers.load(workspace.config_path, overrides)
    context = Context(
        workspace, resolved.config, invocation.console(options), decisions=resolved.decisions
    )
    hub.require_usable(resolved.config.save)
    outcomes = runner.run(context, ["export"], waivers=[], dry_run=options.dry_run)
    if options.bump and not options.dry_run:
        # Last: a release that was refused leaves the version as it was.
        version.write(workspace.config_path, resolved.config.project.version)
    folder = workspace.relative(pipeline.release_folder(context))
    before = _first(context) if options.dry_run else None
    if invocation.wants_json(options):
        stages = [outcome.as_json() for outcome in outcomes]
        invocation.print_json({"release": folder, "stages": stages, "first": before})
    else:
        if before:
            print(f"first: {before}")
        print(f"{'would be ' if options.dry_run else ''}{folder}")
    return 0


def _first(context: Context) -> str | None:
    """What has to be done before a release can be made, or None."""
    from factory import advice

    action = advice.next_action(context)
    return None if action["stage"] in (None, "export") else f"{action['command']} ({action['why']})"
