"""A preset that is a sequence: several experts, one after the other, each in its own workspace.

`factory run all --preset mtg-all` makes `experts/<preset>/` for each member and runs it there. What
a member has finished is not run again, so an interrupted sequence goes on where it stopped. A
closed gate ends its own member only; the summary says how each one ended.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from factory import artifacts, config_file, layers, presets, runner, storage
from factory.artifacts import EvaluationReport
from factory.config import HUB_PREFIX, Source
from factory.console import Console
from factory.context import Context
from factory.errors import ConfigError, FactoryError, GateClosed, Interrupted, WorkspaceLocked
from factory.workspace import CONFIG_NAME, Workspace

FOLDER = "experts"
SUMMARY = "summary.json"
# Paths of a member's configuration that lead to files of the workspace around it.
UP = "../.."


@dataclass(frozen=True)
class Member:
    """How one expert of a sequence ended."""

    preset: str
    workspace: str
    result: str
    problem: str | None
    metric: str | None = None
    baseline: float | None = None
    tuned: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json` and the summary file."""
        return asdict(self)

    def row(self) -> list[Any]:
        """A line of the summary table."""
        return [self.preset, self.result, self.metric, self.baseline, self.tuned, self.problem]


def members(root: Path, preset: str | None) -> list[str]:
    """The presets that `preset` runs in turn; empty if it is none or no sequence."""
    if preset is None:
        return []
    return presets.load(root).preset(preset).sequence


def members_of(workspace: Workspace, preset: str | None) -> list[str]:
    """The same for a workspace: `preset`, or else the one that its configuration names."""
    if preset is None:
        named = config_file.read(config_file.locate(workspace.config_path)).get("preset")
        preset = named if isinstance(named, str) else None
    return members(workspace.root, preset)


def run(
    workspace: Workspace,
    names: list[str],
    stages: list[str],
    console: Console,
    *,
    overrides: list[str],
    force: bool,
    dry_run: bool,
) -> list[Member]:
    """Run `stages` for each preset of `names` and write `experts/summary.json`.

    Raises ConfigError before anything runs, if a member's configuration is wrong; Interrupted and
    WorkspaceLocked end the sequence.
    """
    contexts = {
        name: _context(
            workspace, name, console, overrides=overrides, force=force, plan_only=dry_run
        )
        for name in names
    }
    if not dry_run:
        for name, context in contexts.items():
            _write(workspace, name, context.workspace)
    done: list[Member] = []
    for name, context in contexts.items():
        console.line(f"{name} ({len(done) + 1} of {len(names)})", style="bold")
        done.append(_member(name, context, stages, dry_run=dry_run))
        if not dry_run:
            _write_summary(workspace, done)
    return done


def _context(
    around: Workspace,
    name: str,
    console: Console,
    *,
    overrides: list[str],
    force: bool,
    plan_only: bool,
) -> Context:
    workspace = Workspace(around.root / FOLDER / name)
    values = _configuration(around, name)
    if plan_only and not workspace.root.exists():
        # Nothing is written for a plan: it is made from where data and model lie.
        workspace, values = around, _on_preset(around, name)
    layer = layers.Layer(CONFIG_NAME, str(workspace.config_path), values)
    resolved = layers.resolve(layer, overrides, root=around.root)
    return Context(
        workspace=workspace,
        config=resolved.config,
        console=console,
        force=force,
        decisions=resolved.decisions,
    )


def _write(around: Workspace, name: str, workspace: Workspace) -> None:
    """The member's folder: its configuration, and the presets that are known around it."""
    storage.write_json(workspace.config_path, _configuration(around, name))
    known = around.root / presets.FILE_NAME
    if known.exists():
        storage.write_text(workspace.root / presets.FILE_NAME, known.read_text(encoding="utf-8"))


def _on_preset(around: Workspace, name: str) -> dict[str, Any]:
    """The configuration of the workspace around a member, on the member's preset and name."""
    own = copy.deepcopy(config_file.read(config_file.locate(around.config_path)))
    own["preset"] = name
    own.setdefault("project", {}).pop("name", None)
    return own


def _configuration(around: Workspace, name: str) -> dict[str, Any]:
    """The member's file: as around it, with the paths as they are from the member's folder.

    Data and model are read from around it; everything else happens in the member's own folder.
    """
    own = _on_preset(around, name)
    path = str(around.root / CONFIG_NAME)
    resolved = layers.resolve(layers.Layer(CONFIG_NAME, path, own), root=around.root).config
    own["project"]["allowed_paths"] = [UP, *resolved.project.allowed_paths]
    dataset = own.setdefault("dataset", {})
    for key in ("sources", "mix"):
        dataset[key] = [_source_from_below(source) for source in getattr(resolved.dataset, key)]
    if (around.root / resolved.model.name).is_dir():
        own.setdefault("model", {})["name"] = _from_below(resolved.model.name)
    return own


def _source_from_below(source: str | Source) -> Any:
    if isinstance(source, str):
        return source if source.startswith(HUB_PREFIX) else _from_below(source)
    values = source.model_dump(mode="json", exclude_unset=True)
    if isinstance(source.path, str):
        values["path"] = _from_below(source.path)
    elif source.path:
        values["path"] = [_from_below(path) for path in source.path]
    return values


def _from_below(path: str) -> str:
    return path if Path(path).is_absolute() else f"{UP}/{path}"


def _member(name: str, context: Context, stages: list[str], *, dry_run: bool) -> Member:
    folder = f"{FOLDER}/{name}"
    try:
        outcomes = runner.run(context, stages, waivers=[], dry_run=dry_run)
    except (Interrupted, WorkspaceLocked):
        raise
    except FactoryError as error:
        context.console.warn(f"{name}: {error}")
        result = "gate closed" if isinstance(error, GateClosed) else "failed"
        return Member(name, folder, result, error.message)
    ran = sum(outcome.action == "ran" for outcome in outcomes)
    result = "would run" if dry_run else "done" if ran else "up to date"
    return _measured(Member(name, folder, result, None), context)


def _measured(member: Member, context: Context) -> Member:
    """The member with its figures, if it has been evaluated."""
    path = context.workspace.evaluation_report
    if not path.exists():
        return member
    report = artifacts.load(EvaluationReport, path)
    metric = report.metric or "loss"
    return replace(
        member,
        metric=metric,
        baseline=getattr(report.baseline, metric) if report.baseline else None,
        tuned=getattr(report.metrics, metric),
    )


def _write_summary(workspace: Workspace, done: list[Member]) -> None:
    summary = {"members": [member.as_json() for member in done]}
    storage.write_json(workspace.root / FOLDER / SUMMARY, summary)


def require_all_open(done: list[Member]) -> None:
    """GateClosed, naming the members that did not get through and why."""
    failed = [member for member in done if member.problem]
    if failed:
        problems = "; ".join(f"{member.preset}: {member.problem}" for member in failed)
        raise GateClosed(
            f"{len(failed)} of {len(done)} experts did not get through: {problems}",
            hint=f"the others are done; work on one alone: python -m factory -C {FOLDER}/NAME ...",
        )


def refuse_waivers(waived: list[str]) -> None:
    """A waiver is one person's word on one model, not on a sequence of them."""
    if waived:
        raise ConfigError(
            "a sequence takes no waivers",
            where="--waive",
            hint=f"give it to the one expert: python -m factory -C {FOLDER}/NAME run ...",
        )
