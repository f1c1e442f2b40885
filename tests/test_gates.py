"""Gates on measurements: they open on evidence and on nothing else."""

from typing import Any

import pytest

from factory import gates
from factory.artifacts import Check, EvaluationReport, Interval, Protocol
from factory.config import Evaluation
from tests.measured import metrics

PROTOCOL = Protocol(
    test_sha256="a",
    chat_template_sha256="b",
    tokenizer_sha256="c",
    base_model="models/base",
    base_revision=None,
    base_sha256="d",
    generation={"max_new_tokens": 64},
    scorer_version=1,
    evaluated_ids_sha256="e",
)


def interval(mean: float, low: float, high: float) -> Interval:
    return Interval(mean=mean, low=low, high=high, confidence=0.95, rows=99)


def report(
    *,
    protocol: dict[str, Any] | None = None,
    improvement: dict[str, Interval] | None = None,
    **measured: Any,
) -> EvaluationReport:
    return EvaluationReport(
        protocol=PROTOCOL.model_copy(update=protocol or {}),
        engine="transformers",
        model="models/base",
        metrics=metrics(**{"rows": 99, **measured}),
        per_tool={},
        per_tag={},
        predictions="metrics/predictions/x.jsonl",
        predictions_sha256="f",
        improvement=improvement,
    )


def judged(
    tuned: EvaluationReport, base: EvaluationReport | None = None, **limits: Any
) -> dict[str, Check]:
    checks = gates.judge_evaluation(tuned, base or report(), Evaluation(**limits))
    return {check.id: check for check in checks}


WIN = {"exact_match": interval(0.5, 0.4, 0.6), "loss": interval(-1.0, -1.2, -0.8)}


def test_a_proven_win_opens() -> None:
    assert not any(check.closed for check in judged(report(improvement=WIN)).values())


@pytest.mark.parametrize(
    "improvement",
    [
        None,
        {},
        {"exact_match": interval(0.5, 0.0, 1.0)},
        {"exact_match": interval(0.2, -0.1, 0.5)},
        {"loss": interval(-1.0, -1.2, -0.8)},
    ],
)
def test_no_proof_keeps_it_closed(improvement: dict[str, Interval] | None) -> None:
    assert judged(report(improvement=improvement))["evaluate.improvement"].closed


def test_the_margin_counts() -> None:
    assert judged(report(improvement=WIN), min_improvement=0.45)["evaluate.improvement"].closed


def test_of_loss_less_is_better() -> None:
    assert not judged(report(improvement=WIN), metric="loss")["evaluate.improvement"].closed
    worse = {"loss": interval(1.0, 0.8, 1.2)}
    assert judged(report(improvement=worse), metric="loss")["evaluate.improvement"].closed


def test_free_text_is_judged_by_loss() -> None:
    text = {"exact_match": None, "tool_accuracy": None, "parameter_f1": None}
    metric, reason = gates.choose_metric(report(**text).metrics, Evaluation())
    assert metric == "loss"
    assert "free text" in reason


@pytest.mark.parametrize(
    "field",
    [
        "test_sha256",
        "chat_template_sha256",
        "tokenizer_sha256",
        "base_sha256",
        "evaluated_ids_sha256",
    ],
)
def test_a_report_measured_differently_is_not_comparable(field: str) -> None:
    check = judged(report(improvement=WIN, protocol={field: "other"}))["evaluate.comparable"]
    assert check.closed
    assert field in check.why


def test_other_generation_settings_or_scorer_are_not_comparable() -> None:
    for change in ({"generation": {"max_new_tokens": 8}}, {"scorer_version": 2}):
        assert judged(report(improvement=WIN, protocol=change))["evaluate.comparable"].closed


def test_too_few_rows_prove_nothing() -> None:
    assert judged(report(improvement=WIN, rows=19))["evaluate.rows"].closed


def test_a_missing_loss_keeps_the_gates_closed() -> None:
    assert judged(report(improvement=WIN, loss=None))["evaluate.loss_finite"].closed
    checks = gates.judge_baseline(report(loss=None, rows=0), Evaluation())
    assert [check.id for check in checks if check.closed] == [
        "baseline.rows",
        "baseline.loss_finite",
    ]


def test_targets_are_gates_and_a_missing_metric_misses_them() -> None:
    limits = Evaluation(targets={"exact_match": 0.9, "tool_accuracy": 0.96, "text_match": 0.5})
    checks = {check.id: check for check in gates.judge_evaluation(report(), report(), limits)}
    assert checks["evaluate.target.exact_match"].passed
    assert checks["evaluate.target.tool_accuracy"].closed
    assert checks["evaluate.target.text_match"].closed
