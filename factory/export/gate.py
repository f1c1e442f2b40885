"""The last gate: pure functions from `verification.json` and thresholds to checks."""

from __future__ import annotations

import math

from factory.artifacts import Check
from factory.config import Config
from factory.export.report import Answers, ModelProof, Parity, ReleaseReport

# A merged model may differ from the adapter by what rounding its weights costs, measured on the
# same prompts, twice over: its libraries may add the same terms in another order.
ROUNDING_MARGIN = 2.0
# Logits that differ by less than this are equal for any purpose, even where rounding costs nothing.
LOGIT_EPSILON = 1e-3
# llama.cpp's own table ("Same top p", Llama 3 8B) gives 0.98 for Q8_0, 0.96 for Q6_K, 0.92 for
# Q4_K_M and 0.71 for Q2_K: below 0.9 a file is another model.
MIN_TOP_TOKEN_AGREEMENT = 0.9


def judge_release(report: ReleaseReport, config: Config) -> list[Check]:
    """Is every produced file the adapter (or model) that passed, within the stated tolerances?"""
    allowed = config.save.max_gguf_row_difference
    passed = "adapter" if report.method == "lora" else "evaluated model"
    checks = [_weights(report), *_merged(report.merged, allowed, passed)]
    for quantization in config.save.gguf_quantization:
        proof = report.gguf.get(quantization)
        checks += (
            [_missing(quantization)]
            if proof is None
            else _gguf(quantization, proof, allowed, passed)
        )
    return [*checks, _leaks(report), _ollama(report)]


def _weights(report: ReleaseReport) -> Check:
    found = report.weights
    changed = sorted(
        name for name, sha256 in found.shipped.items() if found.evaluated.get(name) != sha256
    )
    weights = {
        name: sha256 for name, sha256 in found.shipped.items() if name.endswith(".safetensors")
    }
    measured = bool(weights) and found.measured == weights
    if changed:
        why = f"not the files that were evaluated: {', '.join(changed)}"
    elif not measured:
        why = "the weights are not those that evaluation.json names"
    else:
        why = f"all {len(found.shipped)} files are byte for byte those that were evaluated"
    return Check(
        id="export.adapter" if report.method == "lora" else "export.model",
        value=changed or sorted(weights.values()),
        threshold="as evaluated",
        passed=measured and not changed,
        why=why,
    )


def _merged(proof: ModelProof, allowed: int, passed: str) -> list[Check]:
    name = "export.merged"
    return [
        _comparable(name, proof, passed),
        _prompts(name, proof),
        _rounding(name, proof.parity, passed),
        *_answers(name, proof, allowed, passed),
    ]


def _gguf(quantization: str, proof: ModelProof, allowed: int, passed: str) -> list[Check]:
    name = f"export.gguf.{quantization}"
    return [
        *_answers(name, proof, allowed, passed),
        _comparable(name, proof, passed),
        _prompts(name, proof),
        _tokens(name, proof),
        _tensors(name, proof),
        _types(name, quantization, proof),
    ]


def _missing(quantization: str) -> Check:
    return Check(
        id=f"export.gguf.{quantization}",
        value=None,
        threshold="measured",
        passed=False,
        why="was not measured",
    )


def _comparable(name: str, proof: ModelProof, passed: str) -> Check:
    return Check(
        id=f"{name}.comparable",
        value=proof.comparable,
        threshold=True,
        passed=proof.comparable,
        why=(
            f"measured exactly as the {passed} was"
            if proof.comparable
            else f"measured unlike the {passed}: run evaluate again"
        ),
    )


def _prompts(name: str, proof: ModelProof) -> Check:
    parity = proof.parity
    passed = parity.prompts_differ == 0 and parity.prompts > 0
    return Check(
        id=f"{name}.prompts",
        value=parity.prompts_differ,
        threshold=0,
        passed=passed,
        why=f"{parity.prompts_differ} of {parity.prompts} prompts become other tokens with the "
        "template and tokenizer inside the file",
    )


def _rounding(name: str, parity: Parity, reference: str) -> Check:
    found, floor = parity.max_logit_difference, parity.rounding_floor
    tolerance = None if floor is None else ROUNDING_MARGIN * floor + LOGIT_EPSILON
    passed = found is not None and tolerance is not None and found <= tolerance
    return Check(
        id=f"{name}.logits",
        value=found,
        threshold=tolerance,
        passed=passed,
        why=f"largest logit difference from the {reference} is {_number(found)} over "
        f"{parity.positions} tokens; rounding the weights alone costs {_number(floor)}, "
        f"{ROUNDING_MARGIN:g} times that is allowed",
    )


def _answers(name: str, proof: ModelProof, allowed: int, passed: str) -> list[Check]:
    """The likeliest tokens are those of what passed; so are the right rows, where there are any.

    Free text has no right answer to count: there the tokens alone decide.
    """
    agreement = _agreement(f"{name}.agreement", proof.parity, passed)
    if proof.answers.adapter_rows_right is None:
        return [agreement]
    return [_rows_right(name, proof.answers, allowed, passed), agreement]


def _rows_right(name: str, answers: Answers, allowed: int, reference: str) -> Check:
    wanted, found = answers.adapter_rows_right, answers.rows_right
    below = None if wanted is None or found is None else wanted - found
    return Check(
        id=name,
        value=below,
        threshold=allowed,
        passed=below is not None and answers.rows > 0 and below <= allowed,
        why=f"{found} of {answers.rows} test rows are exactly right, {wanted} with the {reference} "
        f"(at most {allowed} fewer allowed); {answers.equal_turns} of {answers.turns} answers are "
        f"the {reference}'s word for word",
    )


def _agreement(name: str, parity: Parity, reference: str) -> Check:
    share = parity.top_token_agreement
    return Check(
        id=name,
        value=share,
        threshold=MIN_TOP_TOKEN_AGREEMENT,
        passed=share is not None and math.isfinite(share) and share >= MIN_TOP_TOKEN_AGREEMENT,
        why=f"the {reference}'s likeliest token is the file's on {_number(share)} of "
        f"{parity.positions} expected tokens, at least {MIN_TOP_TOKEN_AGREEMENT:g} is needed",
    )


def _tokens(name: str, proof: ModelProof) -> Check:
    differ = proof.prompts_tokenized_differently
    return Check(
        id=f"{name}.tokens",
        value=differ,
        threshold=0,
        passed=differ == 0,
        why=f"{differ} of {proof.metrics.turns} prompts are tokenized by llama.cpp unlike by the "
        "tokenizer that the model was trained with",
    )


def _tensors(name: str, proof: ModelProof) -> Check:
    tensors = proof.tensors
    stops = tensors is not None and tensors.end_token_id == proof.end_token_id is not None
    if tensors is None or not tensors.types:
        why = "its tensors were not read"
    elif tensors.not_finite:
        why = f"tensors with NaN or Inf: {', '.join(tensors.not_finite[:5])}"
    elif not stops:
        why = f"ends answers with token {tensors.end_token_id}, trained was {proof.end_token_id}"
    else:
        why = (
            f"all {sum(tensors.types.values())} tensors are finite; the end-of-turn token is right"
        )
    passed = tensors is not None and bool(tensors.types) and not tensors.not_finite and stops
    return Check(
        id=f"{name}.tensors",
        value=None if tensors is None else len(tensors.not_finite),
        threshold=0,
        passed=passed,
        why=why,
    )


def _types(name: str, quantization: str, proof: ModelProof) -> Check:
    """Say which types the tensors really have: K-quants fall back where rows are not x 256."""
    types = {} if proof.tensors is None else proof.tensors.types
    expected = expected_types(quantization)
    strays = sorted(set(types) - expected)
    listed = ", ".join(f"{count} {kind}" for kind, count in sorted(types.items()))
    return Check(
        id=f"{name}.types",
        value=strays,
        threshold=[],
        passed=bool(types) and not strays,
        severity="warning",
        why=f"holds {listed}"
        + (f"; {', '.join(strays)} stands in where {quantization} does not fit" if strays else ""),
    )


def expected_types(quantization: str) -> set[str]:
    """Tensor types that llama.cpp mixes on purpose; vectors always stay F32."""
    mixed = {"q5_k_m": {"Q5_K", "Q6_K"}, "q4_k_m": {"Q4_K", "Q6_K"}}
    return {"F32"} | mixed.get(quantization, {quantization.upper()})


def _leaks(report: ReleaseReport) -> Check:
    return Check(
        id="export.leaks",
        value=report.leaks,
        threshold=[],
        passed=not report.leaks,
        why="; ".join(report.leaks) or "no secret and no path of this machine in any file",
    )


def _ollama(report: ReleaseReport) -> Check:
    ollama = report.ollama
    return Check(
        id="export.ollama",
        value=ollama.family,
        threshold="a template that renders like the model's own",
        passed=ollama.family is not None,
        severity="warning",
        why=ollama.reason,
    )


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.4f}"
