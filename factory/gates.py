"""What a measurement has to show before the next stage may start: pure functions to checks.

Each takes artifacts and thresholds and returns its findings; none reads a file. Anything missing,
not finite or not comparable keeps the gate closed. The gates of the other stages live beside
their artifacts: `factory.data.gate`, `factory.training.gate`, `factory.export.gate`.
"""

from __future__ import annotations

import math
from typing import Any

from factory.artifacts import Check, EvaluationReport, Interval, Metrics
from factory.config import Evaluation


def judge_baseline(report: EvaluationReport, limits: Evaluation) -> list[Check]:
    """The base model was measured on enough rows, and its loss is a number."""
    return [
        _enough_rows("baseline.rows", report.metrics, limits),
        _finite_loss("baseline.loss_finite", report.metrics),
    ]


def judge_evaluation(
    report: EvaluationReport, baseline: EvaluationReport, limits: Evaluation
) -> list[Check]:
    """The fine-tuned model is comparable with the baseline, and better beyond chance."""
    metric, reason = choose_metric(report.metrics, limits)
    return [
        _enough_rows("evaluate.rows", report.metrics, limits),
        _finite_loss("evaluate.loss_finite", report.metrics),
        _comparable(report, baseline),
        _improvement(report, metric, reason, limits),
        *_targets(report.metrics, limits),
    ]


def choose_metric(measured: Metrics, limits: Evaluation) -> tuple[str, str]:
    """The metric that decides, and why it is this one."""
    if limits.metric != "auto":
        return limits.metric, "set in evaluation.metric"
    if measured.exact_match is not None:
        return "exact_match", "the test rows call tools or have an answer pattern"
    return "loss", "the test rows are free text, where no answer is the only right one"


def _enough_rows(check: str, measured: Metrics, limits: Evaluation) -> Check:
    passed = measured.rows >= limits.min_rows
    return Check(
        id=check,
        value=measured.rows,
        threshold=limits.min_rows,
        passed=passed,
        why=f"{measured.rows} test rows measured, at least {limits.min_rows} are needed"
        + ("" if passed else " (evaluation.min_rows; dataset.split_ratios gives test its share)"),
    )


def _finite_loss(check: str, measured: Metrics) -> Check:
    passed = measured.loss is not None and math.isfinite(measured.loss)
    return Check(
        id=check,
        value=measured.loss,
        threshold="finite",
        passed=passed,
        why=f"loss on the expected turns is {_number(measured.loss)}",
    )


def _comparable(report: EvaluationReport, baseline: EvaluationReport) -> Check:
    """Same test rows, template, tokenizer, base, generation settings and scorer on both sides."""
    ours, theirs = report.protocol.model_dump(), baseline.protocol.model_dump()
    different = sorted(key for key in ours if ours[key] != theirs[key])
    return Check(
        id="evaluate.comparable",
        value=different,
        threshold=[],
        passed=not different,
        why=(
            f"measured unlike the baseline: {', '.join(different)}"
            if different
            else "measured exactly as the baseline was"
        ),
    )


def _improvement(report: EvaluationReport, metric: str, reason: str, limits: Evaluation) -> Check:
    interval = (report.improvement or {}).get(metric)
    bound = None if interval is None else gain_bound(metric, interval)
    passed = bound is not None and math.isfinite(bound) and bound > limits.min_improvement
    return Check(
        id="evaluate.improvement",
        value=bound,
        threshold=limits.min_improvement,
        passed=passed,
        why=_improvement_text(metric, reason, interval, limits, passed=passed),
    )


def _targets(measured: Metrics, limits: Evaluation) -> list[Check]:
    """One check a configured target: the fine-tuned model is as good as it was asked to be."""
    checks = []
    for metric, least in limits.targets.items():
        value = getattr(measured, metric)
        checks.append(
            Check(
                id=f"evaluate.target.{metric}",
                value=value,
                threshold=least,
                passed=value is not None and value >= least,
                why=f"{metric} is {_number(value)}, at least {least:.4f} is asked for",
            )
        )
    return checks


def gain_bound(metric: str, interval: Interval) -> float:
    """The bound of the interval nearest to "no better": of loss, less is better."""
    return -interval.high if metric == "loss" else interval.low


def _improvement_text(
    metric: str, reason: str, interval: Interval | None, limits: Evaluation, *, passed: bool
) -> str:
    if interval is None:
        return f"{metric} could not be measured on both sides"
    share = f"{interval.confidence:.0%}"
    change = (
        f"{metric} changed by {interval.mean:+.4f} "
        f"({share} interval {interval.low:+.4f} to {interval.high:+.4f}, {interval.rows} rows; "
        f"{reason})"
    )
    direction = "falls" if metric == "loss" else "rises"
    verdict = "is proven" if passed else "is not proven"
    return f"{change}: that it {direction} by more than {limits.min_improvement:g} {verdict}"


def _number(value: Any) -> str:
    return "missing" if value is None else f"{value:.4f}"
