"""Metrics as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping

from factory.artifacts import Interval, Metrics
from factory.console import Console

SHOWN = (
    "exact_match",
    "tool_accuracy",
    "parameter_precision",
    "parameter_recall",
    "parameter_f1",
    "text_match",
    "loss",
    "perplexity",
)


def show_metrics(console: Console, measured: Mapping[str, Metrics]) -> None:
    """One row a metric, one column a model; metrics that apply to none are left out."""
    rows: list[list[object]] = [
        [metric, *(getattr(values, metric) for values in measured.values())] for metric in SHOWN
    ]
    rows = [row for row in rows if any(value is not None for value in row[1:])]
    rows.append(["rows", *(values.rows for values in measured.values())])
    console.table(["metric", *measured], rows)


def show_improvement(console: Console, improvement: Mapping[str, Interval]) -> None:
    """Change of each metric with its interval."""
    console.table(
        ["improvement", "mean", "low", "high"],
        [[metric, found.mean, found.low, found.high] for metric, found in improvement.items()],
    )
