"""Stage 4, evaluate: the fine-tuned model on the same test rows, paired with the baseline."""

from __future__ import annotations

from pathlib import Path

from factory import artifacts, base_model, gates, pipeline, storage
from factory.artifacts import Check, Decision, EvaluationReport, Interval
from factory.context import Context
from factory.inference.measure import measure, rescore
from factory.scoring import metrics
from factory.scoring.statistics import paired_bootstrap
from factory.scoring.table import show_improvement, show_metrics


def run(context: Context) -> dict[str, Decision]:
    """Measure base model + adapter, or the model trained as a whole, paired with the baseline.

    Writes metrics/evaluation.json.
    """
    tuned = pipeline.tuned(context)
    full = context.config.model.full_finetuning
    baseline = artifacts.load(EvaluationReport, context.workspace.baseline_report)
    measured = measure(
        context,
        name="evaluation",
        engine="transformers",
        model=tuned if full else base_model.resolve(context).folder,
        adapter=None if full else tuned,
    )
    improvement = compare(context)
    metric, reason = gates.choose_metric(measured.metrics, context.config.evaluation)
    report = measured.model_copy(
        update={
            "weights_sha256": weights_sha256(tuned),
            "baseline": baseline.metrics,
            "improvement": improvement,
            "metric": metric,
            "metric_reason": reason,
        }
    )
    artifacts.save(report, context.workspace.evaluation_report)
    show_metrics(context.console, {"baseline": baseline.metrics, "fine-tuned": report.metrics})
    show_improvement(context.console, improvement)
    return {"metric": Decision(value=metric, reason=reason)}


def weights_sha256(folder: Path) -> dict[str, str]:
    """Name -> sha256 of every weights file of an adapter or a model."""
    files = sorted(folder.glob("*.safetensors"))
    return {file.name: storage.sha256_file(file) for file in files}


def compare(context: Context) -> dict[str, Interval]:
    """Fine-tuned minus baseline with bootstrap intervals, for every metric both sides have."""
    limits = context.config.evaluation
    tuned, base = rescore(context, "evaluation"), rescore(context, "baseline")
    rows = list(dict.fromkeys(turn.row_id for turn in tuned))
    found: dict[str, Interval] = {}
    for metric in metrics.COMPARED:
        interval = paired_bootstrap(
            metrics.ratio(metric, tuned, rows),
            metrics.ratio(metric, base, rows),
            confidence=limits.confidence,
            samples=limits.bootstrap_samples,
            seed=limits.seed,
        )
        if interval is not None:
            found[metric] = interval
    return found


def judge(context: Context) -> list[Check]:
    """Is the fine-tuned model better than the baseline, beyond chance?"""
    report = artifacts.load(EvaluationReport, context.workspace.evaluation_report)
    baseline = artifacts.load(EvaluationReport, context.workspace.baseline_report)
    return gates.judge_evaluation(report, baseline, context.config.evaluation)
