"""The gate of finetune: pure judgement of what training left behind. Fails closed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from factory.artifacts import Check


@dataclass(frozen=True)
class Evidence:
    """What was found on disk; None stands for what could not be read, with the reason."""

    stats: dict[str, Any] | None
    not_finite: str | None
    adapter_changed: bool | None
    unreadable: list[str]


def judge_training(evidence: Evidence, *, min_loss_decrease: float) -> list[Check]:
    """Every condition a finished training has to meet."""
    stats = evidence.stats or {}
    return [
        _loss_finite(stats),
        _loss_decreased(stats, min_loss_decrease),
        _mask_proven(stats),
        _tensors_finite(evidence),
        _adapter_changed(evidence),
        _files_load(evidence),
    ]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _mean(values: list[Any]) -> float | None:
    """The mean, or None if there is nothing, or anything that is not a finite number."""
    if not values or not all(_finite(value) for value in values):
        return None
    return float(sum(values) / len(values))


def _loss_finite(stats: dict[str, Any]) -> Check:
    curve = stats.get("curve") or []
    numbers = [
        point.get(name) for point in curve for name in ("loss", "grad_norm") if name in point
    ]
    finite = bool(numbers) and all(_finite(number) for number in numbers)
    finite = finite and _finite(stats.get("final_loss"))
    return Check(
        id="finetune.loss_finite",
        value=stats.get("final_loss") if _finite(stats.get("final_loss")) else None,
        threshold="finite",
        passed=finite,
        why=f"{len(numbers)} losses and gradient norms are finite"
        if finite
        else "a loss or gradient norm is missing or not finite",
    )


def _loss_decreased(stats: dict[str, Any], minimum: float) -> Check:
    """Means of the first and the last tenth of the curve: single batches are noisy."""
    losses = [point.get("loss") for point in stats.get("curve") or [] if "loss" in point]
    tenth = max(len(losses) // 10, 1)
    first, last = _mean(losses[:tenth]), _mean(losses[-tenth:])
    if first is None or last is None or first <= 0:
        share, why = None, "the losses are unknown"
    else:
        share, why = (first - last) / first, f"loss {first:.4f} -> {last:.4f}"
    return Check(
        id="finetune.loss_decreased",
        value=share,
        threshold=minimum,
        passed=share is not None and share > minimum,
        why=why,
    )


def _mask_proven(stats: dict[str, Any]) -> Check:
    counts = (stats.get("mask") or {}).get("train") or {}
    rows, trained = counts.get("rows", 0), counts.get("trained_tokens", 0)
    proven = rows > 0 and trained > 0
    left_out = {
        key: counts[key] for key in ("over_length", "no_answer", "truncated") if key in counts
    }
    rest = "".join(f", {number} rows {name}" for name, number in left_out.items())
    return Check(
        id="finetune.mask_proven",
        value=trained,
        threshold="> 0",
        passed=proven,
        why=f"{trained} of {counts.get('tokens')} tokens in {rows} rows are the assistant's{rest}"
        if proven
        else "no row was proven",
    )


def _tensors_finite(evidence: Evidence) -> Check:
    known = not evidence.unreadable
    return Check(
        id="finetune.tensors_finite",
        value=evidence.not_finite,
        threshold=None,
        passed=known and evidence.not_finite is None,
        why="every saved tensor is finite"
        if known and evidence.not_finite is None
        else f"{evidence.not_finite or 'a file that cannot be read'} is not proven finite",
    )


def _adapter_changed(evidence: Evidence) -> Check:
    changed = evidence.adapter_changed is True
    return Check(
        id="finetune.adapter_changed",
        value=evidence.adapter_changed,
        threshold=True,
        passed=changed,
        why="the weights moved away from where they started"
        if changed
        else "the weights are what they were before training: nothing was learned",
    )


def _files_load(evidence: Evidence) -> Check:
    return Check(
        id="finetune.files_load",
        value=len(evidence.unreadable),
        threshold=0,
        passed=not evidence.unreadable,
        why="every saved file can be read"
        if not evidence.unreadable
        else "; ".join(evidence.unreadable),
    )
