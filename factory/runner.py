"""Run stages: lock, check what came before, run, judge, hash, write the gate file last."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any

from factory import base_model, ledger, pipeline, provenance, storage, waiving
from factory import config as configuration
from factory.artifacts import Check, FileRecord, GateFile
from factory.context import Context
from factory.errors import DataError, GateClosed, StaleInput
from factory.pipeline import Stage
from factory.waiving import Waive


@dataclass
class Outcome:
    """What happened to one stage in one command."""

    stage: str
    action: str
    reason: str
    status: str | None = None
    seconds: float = 0.0
    checks: list[Check] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The outcome as `--json` prints it."""
        return {
            "stage": self.stage,
            "action": self.action,
            "reason": self.reason,
            "status": self.status,
            "seconds": round(self.seconds, 2),
            "checks": [check.model_dump(mode="json") for check in self.checks],
        }


def run(
    context: Context, names: list[str], *, waivers: list[Waive], dry_run: bool = False
) -> list[Outcome]:
    """Run the stages `names` in order.

    Raises GateClosed (a gate is not open), StaleInput (something changed since it was written),
    WorkspaceLocked, and whatever a stage raises.
    """
    stages = [pipeline.find(name) for name in names]
    if dry_run:
        return _plan(context, stages)
    waiving.require_known_stage(waivers)
    with context.workspace.lock():
        outcomes: list[Outcome] = []
        for stage in stages:
            outcomes.append(_advance(context, stage, waivers))
        judged = [check for outcome in outcomes for check in outcome.checks]
        waiving.require_known_check(context, waivers, judged)
        return outcomes


def _advance(context: Context, stage: Stage, waivers: list[Waive]) -> Outcome:
    """Bring one stage up to date; its own gate has to be open afterwards."""
    _require_open_gates(context, stage, waivers)
    reason = "--force" if context.force else _stale_reason_or_damage(context, stage)
    if reason is None:
        gate = _judge_again(context, stage, waivers)
        outcome = Outcome(stage.name, "skipped", "nothing changed", gate.status, 0.0, gate.checks)
        context.console.line(f"{stage.name}: up to date (inputs, settings and outputs match)")
        for waived in (check for check in gate.checks if check.waived):
            context.console.line(f"  [waived] {waived.id}: {waived.why}", style="yellow")
    else:
        context.console.line(f"{stage.name}: {stage.purpose}", style="bold")
        context.console.line(f"  runs because {reason}")
        outcome = _execute(context, stage, reason, waivers)
        gate = _known_gate(context, stage)
    _require_open(gate)
    return outcome


def _plan(context: Context, stages: list[Stage]) -> list[Outcome]:
    """What `run` would do; nothing is written. A stage behind a stale one is stale, too."""
    outcomes: list[Outcome] = []
    for stage in stages:
        reason = "--force" if context.force else _stale_reason_or_damage(context, stage)
        if reason is None and any(outcome.action == "would run" for outcome in outcomes):
            reason = "an earlier stage runs first; skipped if that changes nothing"
        action = "would skip" if reason is None else "would run"
        outcomes.append(Outcome(stage.name, action, reason or "nothing changed"))
        for line in _details(context, stage) if reason else ():
            context.console.line(f"  {line}")
    return outcomes


def _details(context: Context, stage: Stage) -> list[str]:
    """A stage's own words on what it would do, if it has any (`plan(context)`).

    Before the stages in front of it have run, what it reads may not be there yet.
    """
    plan = getattr(_module(stage), "plan", None)
    try:
        return list(plan(context)) if plan else []
    except DataError as error:
        return [f"{stage.name}: not known yet ({error.message})"]


def _execute(context: Context, stage: Stage, reason: str, waivers: list[Waive]) -> Outcome:
    started_at, clock = provenance.now(), time.monotonic()
    previous = waiving.given_before(context, stage)
    with ledger.recording(stage.reads(context)) as recorded:
        module = _module(stage)
        context.workspace.gate_path(stage.name).unlink(missing_ok=True)
        decisions = {**context.decisions, **module.run(context)}
        inputs = recorded()
    unchanged = ledger.difference(stage.reads(context), inputs, trust_inode=True)
    if unchanged is not None:
        raise StaleInput(f"an input changed while {stage.name} was running: {unchanged}")
    checks, kept = waiving.apply(module.judge(context), waivers, previous)
    _publish(context, module, checks)
    commit, dirty = provenance.git_state(context.workspace.root)
    settings = configuration.settings(context.config, *stage.settings)
    gate = GateFile(
        stage=stage.name,
        status=_status(checks),
        checks=checks,
        waivers=kept,
        inputs=inputs,
        outputs=ledger.record_all(stage.writes(context), context.written),
        settings=settings,
        settings_sha256=storage.sha256_json(settings),
        thresholds=configuration.thresholds(context.config, stage.thresholds),
        decisions=decisions,
        revisions=_revisions(context),
        versions=provenance.versions(),
        git_commit=commit,
        git_dirty=dirty,
        seed=context.config.training.seed,
        started_at=started_at,
        ended_at=provenance.now(),
        machine=provenance.machine(),
    )
    ledger.write_gate(context.workspace, gate)
    _report(context, gate)
    return Outcome(stage.name, "ran", reason, gate.status, time.monotonic() - clock, checks)


def stale_reason(context: Context, stage: Stage) -> str | None:
    """Why `stage` has to run (again), or None if its gate file matches what is on disk."""
    gate = ledger.read_gate(context.workspace, stage.name)
    if gate is None:
        return "it has not been run here"
    settings = configuration.settings(context.config, *stage.settings)
    if changed := _changed_setting(gate.settings, settings):
        return changed
    # Raw data is hashed again each time; a model of many GB may be trusted by its inode.
    trust = stage.after is not None
    return ledger.difference(stage.reads(context), gate.inputs, trust_inode=trust) or (
        ledger.difference(stage.writes(context), gate.outputs, trust_inode=True)
    )


def _stale_reason_or_damage(context: Context, stage: Stage) -> str | None:
    try:
        return stale_reason(context, stage)
    except StaleInput as error:
        return error.message


def _changed_setting(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    changed = [
        f"{key} changed from {old.get(key)!r} to {new.get(key)!r}"
        for key in sorted(set(old) | set(new))
        if old.get(key) != new.get(key)
    ]
    return "; ".join(changed[:3]) or None


def _require_open_gates(context: Context, stage: Stage, waivers: list[Waive]) -> None:
    """Every earlier stage is done, unchanged and open; what `stage` reads is hashed again."""
    written: dict[str, Any] = {}
    for earlier in pipeline.before(stage):
        if not context.workspace.gate_path(earlier.name).exists():
            raise GateClosed(
                f"{stage.name} needs {earlier.name}, which has not been run here",
                hint=f"run: python -m factory run {earlier.name}",
            )
        reason = stale_reason(context, earlier)
        if reason is not None:
            raise StaleInput(
                f"{stage.name} refuses to run: since {earlier.name} ran, {reason}",
                hint=f"run: python -m factory run {earlier.name}   (or: run all)",
            )
        gate = _judge_again(context, earlier, waivers)
        _require_open(gate)
        written |= gate.outputs
    own = {name: path for name, path in stage.reads(context).items() if name in written}
    known = {name: written[name] for name in own}
    if difference := ledger.difference(own, known, trust_inode=False):
        raise StaleInput(
            f"{stage.name} refuses to run: {difference}",
            hint="run the stage that wrote it again, or: python -m factory run all",
        )


def _judge_again(context: Context, stage: Stage, waivers: list[Waive]) -> GateFile:
    """Re-judge a finished stage if a threshold changed or a waiver is given; else as recorded."""
    gate = _known_gate(context, stage)
    thresholds = configuration.thresholds(context.config, stage.thresholds)
    named = {check.id for check in gate.checks}
    given = [waive for waive in waivers if waive.check in named]
    if thresholds == gate.thresholds and not given:
        return gate
    module = _module(stage)
    checks, kept = waiving.apply(module.judge(context), given, gate.waivers)
    judged = gate.model_copy(
        update={
            "checks": checks,
            "waivers": kept,
            "status": _status(checks),
            "thresholds": thresholds,
            "outputs": {**gate.outputs, **_publish(context, module, checks)},
        }
    )
    ledger.write_gate(context.workspace, judged)
    return judged


def _publish(context: Context, module: ModuleType, checks: list[Check]) -> dict[str, FileRecord]:
    """Let a stage tell in its own files what became of its checks (`publish(context, checks)`).

    Returns the new records of the files that this changed.
    """
    publish = getattr(module, "publish", None)
    return ledger.record_all(publish(context, checks)) if publish else {}


def _status(checks: list[Check]) -> Any:
    if not checks or any(check.closed for check in checks):
        return "failed"
    return "waived" if any(check.waived for check in checks) else "passed"


def _require_open(gate: GateFile) -> None:
    if gate.status != "failed":
        return
    closed = [check for check in gate.checks if check.closed]
    first = closed[0].id if closed else f"{gate.stage}.checks"
    raise GateClosed(
        f"the gate of {gate.stage} is closed: "
        + ("; ".join(f"{check.id}: {check.why}" for check in closed) or "nothing was checked"),
        hint=f"mend the cause, or answer for it: python -m factory run {gate.stage} "
        f'--waive {first} --reason "..."  (it stays in the gate file and the model card)',
    )


def _report(context: Context, gate: GateFile) -> None:
    """Decisions and checks, as a person reads them."""
    console = context.console
    for name, decision in gate.decisions.items():
        console.line(f"  {name}: {decision.value} ({decision.reason})")
    for check in gate.checks:
        if check.passed:
            mark, style = "ok", "green"
        elif check.waived:
            mark, style = "waived", "yellow"
        elif check.severity == "warning":
            mark, style = "warning", "yellow"
        else:
            mark, style = "CLOSED", "bold red"
        console.line(f"  [{mark}] {check.id}: {check.why}", style=style)


def _known_gate(context: Context, stage: Stage) -> GateFile:
    gate = ledger.read_gate(context.workspace, stage.name)
    if gate is None:
        raise GateClosed(f"{stage.name} has not been run here")
    return gate


def _revisions(context: Context) -> dict[str, str | None]:
    model = base_model.resolve(context)
    return {model.name: model.revision}


def _module(stage: Stage) -> ModuleType:
    return import_module(stage.module)


@dataclass(frozen=True)
class Verdict:
    """What `check` found out about one stage."""

    stage: str
    problem: str | None
    kind: str
    checks: list[Check]

    def as_json(self) -> dict[str, Any]:
        """The verdict as `--json` prints it."""
        return {
            "stage": self.stage,
            "result": self.kind,
            "problem": self.problem,
            "checks": [check.model_dump(mode="json") for check in self.checks],
        }


def check(context: Context, names: list[str]) -> list[Verdict]:
    """Hash every file of the finished stages again and read their gates; changes nothing."""
    return [_verify(context, pipeline.find(name)) for name in names]


def _verify(context: Context, stage: Stage) -> Verdict:
    try:
        gate = ledger.read_gate(context.workspace, stage.name)
    except StaleInput as error:
        return Verdict(stage.name, str(error), "stale", [])
    if gate is None:
        return Verdict(stage.name, "not run", "missing", [])
    settings = configuration.settings(context.config, *stage.settings)
    problem = (
        _changed_setting(gate.settings, settings)
        or ledger.difference(stage.writes(context), gate.outputs, trust_inode=False)
        or ledger.difference(stage.reads(context), gate.inputs, trust_inode=False)
    )
    if problem:
        return Verdict(stage.name, problem, "stale", gate.checks)
    if gate.status == "failed":
        closed = [found.why for found in gate.checks if found.closed]
        return Verdict(stage.name, "; ".join(closed), "closed", gate.checks)
    return Verdict(stage.name, None, gate.status, gate.checks)
