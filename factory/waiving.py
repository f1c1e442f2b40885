"""Waivers: what a person answers for, attached to the checks that it was given for."""

from __future__ import annotations

from dataclasses import dataclass

from factory import ledger, pipeline, provenance
from factory.artifacts import Check, Waiver
from factory.context import Context
from factory.errors import ConfigError, StaleInput, did_you_mean
from factory.pipeline import Stage


@dataclass(frozen=True)
class Waive:
    """`--waive GATE --reason TEXT`."""

    check: str
    reason: str


def apply(
    checks: list[Check], given: list[Waive], earlier: list[Waiver]
) -> tuple[list[Check], list[Waiver]]:
    """Attach waivers to failed checks.

    An earlier waiver holds as long as the value it was given for; all are kept as history. The same
    one given again is the earlier one: a run judges a gate more than once.
    """
    history = list(earlier)
    judged = []
    for check in checks:
        waiver = _waiver_for(check, given, earlier)
        if waiver is not None and not check.passed:
            check = check.model_copy(update={"waived": waiver})
            if waiver not in history:
                history.append(waiver)
        judged.append(check)
    return judged, history


def _waiver_for(check: Check, given: list[Waive], earlier: list[Waiver]) -> Waiver | None:
    for waive in given:
        if waive.check == check.id:
            new = Waiver(
                check=check.id,
                reason=waive.reason,
                by=provenance.person(),
                at=provenance.now(),
                value=check.value,
                threshold=check.threshold,
            )
            same = (old for old in earlier if old.model_copy(update={"at": new.at}) == new)
            return next(same, new)
    for old in reversed(earlier):
        if (old.check, old.value, old.threshold) == (check.id, check.value, check.threshold):
            return old
    return None


def given_before(context: Context, stage: Stage) -> list[Waiver]:
    """The waivers of the stage's last gate file; none where that is damaged."""
    try:
        gate = ledger.read_gate(context.workspace, stage.name)
    except StaleInput:
        return []
    return gate.waivers if gate else []


def require_known_stage(waivers: list[Waive]) -> None:
    """Refuse a waiver that can match no check, before anything runs."""
    for waive in waivers:
        stage = waive.check.partition(".")[0]
        if stage not in pipeline.NAMES:
            raise _unknown_check(waive, list(pipeline.NAMES))


def require_known_check(context: Context, waivers: list[Waive], judged: list[Check]) -> None:
    """A waiver that names no check of the workspace is a typo, not a wish."""
    known = {check.id for check in judged}
    for stage in pipeline.STAGES:
        gate = ledger.read_gate(context.workspace, stage.name)
        known |= {check.id for check in gate.checks} if gate else set()
    for waive in waivers:
        if waive.check not in known:
            raise _unknown_check(waive, sorted(known))


def _unknown_check(waive: Waive, known: list[str]) -> ConfigError:
    return ConfigError(
        f"no gate check {waive.check!r}{did_you_mean(waive.check, known)}",
        where="--waive",
        hint="python -m factory check lists them",
    )
