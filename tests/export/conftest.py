"""A release report in which everything is as it should be, for tests to spoil one thing of."""

from __future__ import annotations

import pytest

from factory.export.report import (
    Answers,
    ModelProof,
    OllamaTemplate,
    Parity,
    ReleaseReport,
    Tensors,
    WeightsProof,
)
from tests.measured import metrics

WEIGHTS = "a" * 64


def model_proof(*, gguf: bool) -> ModelProof:
    """A produced file that answers exactly as the adapter does."""
    return ModelProof(
        path="gguf/demo-v1.0.0-q8_0.gguf" if gguf else "merged",
        size=1_000_000,
        metrics=metrics(),
        comparable=True,
        prompts_tokenized_differently=0,
        answers=Answers(rows=20, turns=20, equal_turns=20, rows_right=18, adapter_rows_right=18),
        parity=Parity(
            turns=16,
            positions=500,
            prompts=16,
            prompts_differ=0,
            max_logit_difference=0.05,
            rounding_floor=None if gguf else 0.05,
            mean_kl_divergence=0.0001,
            top_token_agreement=1.0,
            loss=0.1,
            adapter_loss=0.1,
        ),
        tensors=Tensors(types={"F32": 3, "Q8_0": 5}, not_finite=[], end_token_id=2)
        if gguf
        else None,
        end_token_id=2 if gguf else None,
        predictions="metrics/predictions/x.jsonl",
        predictions_sha256="b" * 64,
    )


@pytest.fixture
def report() -> ReleaseReport:
    """All checks of this report pass."""
    files = {"adapter_model.safetensors": WEIGHTS, "adapter_config.json": "c" * 64}
    return ReleaseReport(
        name="demo",
        version="1.0.0",
        test_sha256="d" * 64,
        method="lora",
        weights=WeightsProof(
            evaluated=files, shipped=files, measured={"adapter_model.safetensors": WEIGHTS}
        ),
        merged=model_proof(gguf=False),
        gguf={"q8_0": model_proof(gguf=True)},
        ollama=OllamaTemplate(
            family="chatml",
            tools="not supported",
            reason="renders alike",
            stops=["<|im_end|>"],
            systems=["Be brief."],
            always_system=True,
        ),
        leaks=[],
        left_out=[],
    )
