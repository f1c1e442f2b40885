"""Stage 2, baseline: what the base model scores on the test rows."""

from __future__ import annotations

from factory import artifacts, base_model, gates, template_probe
from factory.artifacts import Check, Decision, EvaluationReport
from factory.context import Context
from factory.inference.measure import measure
from factory.scoring.table import show_metrics


def run(context: Context) -> dict[str, Decision]:
    """Measure the base model; write metrics/baseline.json and its predictions."""
    template_probe.require(context)
    base = base_model.resolve(context)
    report = measure(context, name="baseline", engine="transformers", model=base.folder)
    artifacts.save(report, context.workspace.baseline_report)
    show_metrics(context.console, {"baseline": report.metrics})
    return {}


def judge(context: Context) -> list[Check]:
    """Was the base model measured on enough rows, with a finite loss?"""
    report = artifacts.load(EvaluationReport, context.workspace.baseline_report)
    return gates.judge_baseline(report, context.config.evaluation)
