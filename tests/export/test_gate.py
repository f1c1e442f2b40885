"""Every way in which a release can fail to be the adapter that passed closes one check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from factory.config import Config
from factory.export.gate import expected_types, judge_release
from factory.export.report import ReleaseReport


def closed(report: ReleaseReport, config: Config | None = None) -> list[str]:
    return [check.id for check in judge_release(report, config or Config()) if check.closed]


def test_a_faithful_release_passes_every_check(report: ReleaseReport) -> None:
    assert all(check.passed for check in judge_release(report, Config()))


def spoil(path: str, value: Any) -> Callable[[ReleaseReport], None]:
    """Set one field of the report, `.`-separated; a dictionary is entered by its key."""

    def apply(report: ReleaseReport) -> None:
        target: Any = report
        *parents, last = path.split(".")
        for name in parents:
            target = target[name] if isinstance(target, dict) else getattr(target, name)
        if isinstance(target, dict):
            target[last] = value
        else:
            setattr(target, last, value)

    return apply


FAULTS = [
    ("weights.shipped", {"adapter_model.safetensors": "e" * 64}, ["export.adapter"]),
    ("weights.measured", None, ["export.adapter"]),
    ("weights.evaluated", {}, ["export.adapter"]),
    ("weights.shipped", {}, ["export.adapter"]),
    ("merged.comparable", False, ["export.merged.comparable"]),
    ("merged.parity.prompts_differ", 1, ["export.merged.prompts"]),
    ("merged.parity.prompts", 0, ["export.merged.prompts"]),
    ("merged.parity.max_logit_difference", 0.102, ["export.merged.logits"]),
    ("merged.parity.max_logit_difference", None, ["export.merged.logits"]),
    ("merged.parity.rounding_floor", None, ["export.merged.logits"]),
    ("merged.answers.rows_right", 16, ["export.merged"]),
    ("merged.parity.top_token_agreement", 0.89, ["export.merged.agreement"]),
    ("gguf", {}, ["export.gguf.q8_0"]),
    ("gguf.q8_0.answers.rows_right", 16, ["export.gguf.q8_0"]),
    ("gguf.q8_0.answers.rows_right", None, ["export.gguf.q8_0"]),
    ("gguf.q8_0.answers.rows", 0, ["export.gguf.q8_0"]),
    ("gguf.q8_0.parity.top_token_agreement", None, ["export.gguf.q8_0.agreement"]),
    ("gguf.q8_0.comparable", False, ["export.gguf.q8_0.comparable"]),
    ("gguf.q8_0.parity.prompts_differ", 3, ["export.gguf.q8_0.prompts"]),
    ("gguf.q8_0.prompts_tokenized_differently", 1, ["export.gguf.q8_0.tokens"]),
    ("gguf.q8_0.tensors", None, ["export.gguf.q8_0.tensors"]),
    ("gguf.q8_0.tensors.types", {}, ["export.gguf.q8_0.tensors"]),
    ("gguf.q8_0.tensors.not_finite", ["output.weight"], ["export.gguf.q8_0.tensors"]),
    ("gguf.q8_0.tensors.end_token_id", 0, ["export.gguf.q8_0.tensors"]),
    ("gguf.q8_0.end_token_id", None, ["export.gguf.q8_0.tensors"]),
    ("leaks", ["README.md holds the value of HF_TOKEN"], ["export.leaks"]),
]


@pytest.mark.parametrize(("path", "value", "expected"), FAULTS)
def test_each_fault_closes_its_own_check(
    report: ReleaseReport, path: str, value: Any, expected: list[str]
) -> None:
    spoil(path, value)(report)
    assert closed(report) == expected


def test_one_row_below_the_adapter_is_allowed_by_default(report: ReleaseReport) -> None:
    report.gguf["q8_0"].answers.rows_right = 17
    assert closed(report) == []
    strict = Config.model_validate({"save": {"max_gguf_row_difference": 0}})
    assert closed(report, strict) == ["export.gguf.q8_0"]


def test_every_configured_quantization_has_to_be_measured(report: ReleaseReport) -> None:
    config = Config.model_validate({"save": {"gguf_quantization": ["q8_0", "q4_k_m"]}})
    assert closed(report, config) == ["export.gguf.q4_k_m"]


def test_free_text_is_judged_by_the_likeliest_tokens(report: ReleaseReport) -> None:
    for proof in (report.merged, report.gguf["q8_0"]):
        proof.answers.rows_right = proof.answers.adapter_rows_right = None
    assert closed(report) == []
    report.gguf["q8_0"].parity.top_token_agreement = 0.5
    assert closed(report) == ["export.gguf.q8_0.agreement"]


def test_tensors_that_fell_back_are_named_in_a_warning(report: ReleaseReport) -> None:
    tensors = report.gguf["q8_0"].tensors
    assert tensors is not None
    tensors.types["Q5_1"] = 2
    found = {check.id: check for check in judge_release(report, Config())}
    types = found["export.gguf.q8_0.types"]
    assert not types.passed and not types.closed
    assert "2 Q5_1" in types.why


def test_a_missing_ollama_template_is_a_warning(report: ReleaseReport) -> None:
    report.ollama.family = None
    found = {check.id: check for check in judge_release(report, Config())}
    assert not found["export.ollama"].passed and not found["export.ollama"].closed


@pytest.mark.parametrize(
    ("quantization", "types"),
    [
        ("f16", {"F32", "F16"}),
        ("bf16", {"F32", "BF16"}),
        ("q8_0", {"F32", "Q8_0"}),
        ("q5_k_m", {"F32", "Q5_K", "Q6_K"}),
        ("q4_k_m", {"F32", "Q4_K", "Q6_K"}),
    ],
)
def test_types_that_llama_cpp_mixes_on_purpose(quantization: str, types: set[str]) -> None:
    assert expected_types(quantization) == types
