"""Next-token distributions of every produced file beside the adapter's.

Runs in the proving process. One model is in memory at a time; of the adapter only the logits at
the expected turns stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factory.export.report import Parity
from factory.inference import transformers_engine
from factory.inference.request import Request
from factory.inference.turns import Turn

# One turn's logits: float32, [positions, vocabulary].
Logits = NDArray[np.float32]


def adapter_logits(
    request: Request, items: Sequence[Turn], stored_dtype: str
) -> tuple[list[Logits], list[Logits]]:
    """Logits of base + adapter, and of the two merged in memory and rounded as a file rounds."""
    import torch

    model = transformers_engine.load(request)
    adapter = list(_logits(model, items))
    merged = model.merge_and_unload()
    stored = getattr(torch, stored_dtype)
    with torch.no_grad():
        for weight in merged.parameters():
            weight.copy_(weight.to(stored))
    return adapter, list(_logits(merged, items))


def folder_logits(request: Request, items: Sequence[Turn]) -> Iterator[Logits]:
    """Logits of a model folder."""
    return _logits(transformers_engine.load(request), items)


def _logits(model: Any, items: Sequence[Turn]) -> Iterator[Logits]:
    """Logits at every expected token, one turn at a time: no padding, so no padding effects."""
    import torch

    for turn in items:
        ids = torch.tensor([turn.prompt_ids + turn.target_ids], device=model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0]
        # The logits at position t predict token t + 1.
        yield logits[len(turn.prompt_ids) - 1 : -1].float().cpu().numpy()


def gguf_logits(file: str, items: Sequence[Turn], threads: int) -> Iterator[Logits]:
    """Logits of a GGUF through llama.cpp, for the same tokens."""
    from llama_cpp import Llama

    longest = max(len(turn.prompt_ids) + len(turn.target_ids) for turn in items)
    model = Llama(
        model_path=file,
        n_ctx=longest,
        n_batch=longest,
        n_threads=threads,
        n_threads_batch=threads,
        n_gpu_layers=-1,
        logits_all=True,
        verbose=False,
    )
    for turn in items:
        model.reset()
        model.eval(turn.prompt_ids + turn.target_ids)
        first = len(turn.prompt_ids) - 1
        yield np.array(model.scores[first : first + len(turn.target_ids)], dtype=np.float32)
    model.close()


def summarise(
    items: Sequence[Turn],
    adapter: Sequence[Logits],
    found: Iterable[Logits],
    *,
    prompts_differ: int,
) -> Parity:
    """Put one file's logits, turn by turn, beside the adapter's."""
    largest, divergence, agreeing, positions = 0.0, 0.0, 0, 0
    loss, adapter_loss = 0.0, 0.0
    for turn, ours, theirs in zip(items, adapter, found, strict=True):
        reference, other = _log_softmax(ours), _log_softmax(theirs)
        places, targets = np.arange(len(turn.target_ids)), np.array(turn.target_ids)
        # max() of Python drops a NaN that comes second; numpy's keeps it.
        largest = float(np.maximum(largest, np.abs(ours - theirs).max()))
        divergence += float((np.exp(reference) * (reference - other)).sum())
        agreeing += int((ours.argmax(-1) == theirs.argmax(-1)).sum())
        adapter_loss -= float(reference[places, targets].sum())
        loss -= float(other[places, targets].sum())
        positions += len(places)
    return Parity(
        turns=len(items),
        positions=positions,
        prompts_differ=prompts_differ,
        max_logit_difference=_finite(largest),
        mean_kl_divergence=_finite(divergence / positions),
        top_token_agreement=_finite(agreeing / positions) if math.isfinite(largest) else None,
        loss=_finite(loss / positions),
        adapter_loss=_finite(adapter_loss / positions),
    )


def largest_difference(first: Sequence[Logits], second: Sequence[Logits]) -> float | None:
    """The largest difference of any two logits; None where one is not finite."""
    differences = [np.abs(a - b).max() for a, b in zip(first, second, strict=True)]
    return _finite(float(np.max(differences)))


def _log_softmax(logits: Logits) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
