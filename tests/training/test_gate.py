"""The gate of finetune: each condition closes it on its own, and so does anything missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from factory.training.gate import Evidence, judge_training

GOOD_STATS: dict[str, Any] = {
    "initial_loss": 2.0,
    "final_loss": 1.0,
    "mask": {"train": {"rows": 10, "tokens": 100, "trained_tokens": 40}},
    "curve": [
        {"step": 1, "loss": 2.0, "grad_norm": 1.0},
        {"step": 2, "loss": 1.0, "grad_norm": 0.5},
    ],
}
GOOD = Evidence(stats=GOOD_STATS, not_finite=None, adapter_changed=True, unreadable=[])


def closed(evidence: Evidence, minimum: float = 0.0) -> list[str]:
    checks = judge_training(evidence, min_loss_decrease=minimum)
    return [check.id.removeprefix("finetune.") for check in checks if check.closed]


def test_a_good_training_passes() -> None:
    assert closed(GOOD) == []


def test_nothing_at_all_closes_everything() -> None:
    everything = closed(Evidence(None, None, None, ["metrics/training-stats.json: no such file"]))
    assert len(everything) == 6


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ({"final_loss": float("nan")}, "loss_finite"),
        ({"final_loss": None}, "loss_finite"),
        ({"curve": []}, "loss_finite"),
        ({"curve": [{"step": 1, "loss": 0.0, "grad_norm": float("nan")}]}, "loss_finite"),
        ({"curve": [{"step": 1, "loss": None}, {"step": 2, "loss": 1.0}]}, "loss_decreased"),
        ({"curve": [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 1.0}]}, "loss_decreased"),
        ({"curve": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": True}]}, "loss_decreased"),
        ({"mask": {}}, "mask_proven"),
        ({"mask": {"train": {"rows": 0, "trained_tokens": 0}}}, "mask_proven"),
    ],
)
def test_bad_statistics_close_it(change: dict[str, Any], check: str) -> None:
    assert check in closed(replace(GOOD, stats=GOOD_STATS | change))


def test_the_loss_has_to_fall_by_the_threshold() -> None:
    assert closed(GOOD, minimum=0.4) == []
    assert closed(GOOD, minimum=0.5) == ["loss_decreased"]


def test_one_lucky_batch_does_not_count() -> None:
    noisy = [1.0] * 10 + [0.9] + [1.1] * 9 + [1.0] * 19 + [0.1]
    curve = [{"step": step, "loss": loss, "grad_norm": 1.0} for step, loss in enumerate(noisy)]
    assert closed(replace(GOOD, stats=GOOD_STATS | {"curve": curve}), minimum=0.5) == [
        "loss_decreased"
    ]


def test_a_tensor_that_is_not_finite_is_named() -> None:
    evidence = replace(GOOD, not_finite="layers.0.lora_B")
    (check,) = [c for c in judge_training(evidence, min_loss_decrease=0) if c.closed]
    assert "layers.0.lora_B" in check.why


def test_an_unchanged_adapter_closes_it() -> None:
    assert closed(replace(GOOD, adapter_changed=False)) == ["adapter_changed"]


def test_a_file_that_cannot_be_read_closes_it() -> None:
    evidence = replace(GOOD, unreadable=["models/x.gguf: no such file"])
    assert closed(evidence) == ["tensors_finite", "files_load"]
