"""What was measured, for tests of what is judged and shown."""

from __future__ import annotations

from factory.artifacts import Metrics


def metrics(rows: int = 20, **changes: object) -> Metrics:
    """Metrics of rows that each call one tool."""
    values: dict[str, object] = {
        "rows": rows,
        "turns": rows,
        "tool_turns": rows,
        "text_turns": 0,
        "exact_match": 0.9,
        "tool_accuracy": 0.95,
        "parameter_precision": 0.9,
        "parameter_recall": 0.9,
        "parameter_f1": 0.9,
        "text_match": None,
        "loss": 0.1,
        "perplexity": 1.1,
        "invalid_calls": 0,
        "truncated": 0,
    }
    return Metrics.model_validate({**values, **changes})
