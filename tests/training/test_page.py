"""The page about a training: all curves, all facts, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from factory.artifacts import Decision
from factory.training import page
from tests.data.test_page import HOSTILE, Tags

STATS: dict[str, Any] = {
    "run_id": "abc",
    "duration_seconds": 61.0,
    "tokens_per_second": 1234.5,
    "peak_memory_gb": 1.3,
    "attempt": 2,
    "warnings": [],
    "mask": {"train": {"rows": 40, "tokens": 3430}},
    "curve": [
        {"step": 1, "loss": 2.0, "grad_norm": 1.0, "learning_rate": 1e-3},
        {"step": 9, "loss": 1.0, "grad_norm": 0.5, "learning_rate": 0.0},
        {"step": 9, "eval_loss": 1.5},
    ],
}
SETTINGS = {"trainer": {"learning_rate": 1e-3}, "lora": None}
DECISIONS = {"attempt_2": Decision(value="micro-batch 4 -> 2", reason="out of memory")}


def test_curves_facts_attempts_and_checkpoints_are_shown() -> None:
    html = page.render(STATS, SETTINGS, [("checkpoint-9", 9, 61.0)], DECISIONS)
    assert html.count("<polyline") == 4
    for text in ("1234.5", "1.3", "micro-batch 4 -&gt; 2", "checkpoint-9", "1 min 01 s", "3,430"):
        assert text in html
    assert "trainer.learning_rate" in html
    assert "validation" in html


def test_a_run_without_evaluation_has_no_validation_curve() -> None:
    html = page.render({**STATS, "curve": STATS["curve"][:2]}, {}, [], {})
    assert html.count("<polyline") == 3
    assert "&#9632; validation" not in html


def test_text_is_only_text() -> None:
    stats = {**STATS, "run_id": HOSTILE, "warnings": [HOSTILE]}
    decisions = {HOSTILE: Decision(value=HOSTILE, reason=HOSTILE)}
    tags = Tags()
    tags.feed(page.render(stats, {HOSTILE: HOSTILE}, [(HOSTILE, 1, 1.0)], decisions))
    assert tags.found.isdisjoint({"script", "img", "link", "iframe"})
