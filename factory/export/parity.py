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

from factory.errors import DataError
from factory.export.report import Parity
from factory.inference import transformers_engine
from factory.inference.request import Request
from factory.inference.turns import Turn

# One turn's logits: float32, [positions, vocabulary].
Logits = NDArray[np.float32]


def reference_logits(
    request: Request, items: Sequence[Turn], stored_dtype: str
) -> tuple[list[Logits], float | None]:
    """Logits of what was evaluated, and what rounding the merged weights costs by itself.

    The second is the largest logit difference after merging the adapter in memory and rounding
    every weight to `stored_dtype`, as a file does; None if it is not finite. Without an adapter
    the files themselves were evaluated: nothing is merged, and nothing is rounded.
    """
    import torch

    model = transformers_engine.load(request)
    adapter = list(_logits(model, items))
    if request.adapter is None:
        return adapter, 0.0
    merged = model.merge_and_unload()
    stored = getattr(torch, stored_dtype)
    with torch.no_grad():
        for weight in merged.parameters():
            weight.copy_(weight.to(stored))
    differences = [
        np.abs(ours - rounded).max()
        for ours, rounded in zip(adapter, _logits(merged, items), strict=True)
    ]
    return adapter, _finite(float(np.max(differences)))


def folder_logits(request: Request, items: Sequence[Turn]) -> Iterator[Logits]:
    """Logits of a model folder."""
    return _logits(transformers_engine.load(request), items)


def _logits(model: Any, items: Sequence[Turn]) -> Iterator[Logits]:
    """Logits at every expected token, one turn at a time: no padding, so no padding effects."""
    import torch

    for turn in items:
        ids = torch.tensor([turn.prompt_ids + turn.target_ids], device=model.device)
        # The logits at position t predict token t + 1: one more is computed, the last is dropped.
        wanted = len(turn.target_ids) + 1
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=wanted).logits[0]
        yield logits[:-1].float().cpu().numpy()


def gguf_logits(file: str, items: Sequence[Turn], threads: int) -> Iterator[Logits]:
    """Logits of a GGUF through llama.cpp for the same tokens, fed one by one as it answers."""
    import llama_cpp

    model = llama_cpp.Llama(
        model_path=file,
        n_ctx=max(len(turn.prompt_ids) + len(turn.target_ids) for turn in items),
        n_threads=threads,
        n_threads_batch=threads,
        n_gpu_layers=-1,
        verbose=False,
    )
    for turn in items:
        model.reset()
        rows = []
        for tokens in (turn.prompt_ids, *([token] for token in turn.target_ids[:-1])):
            model.eval(tokens)
            last = llama_cpp.llama_get_logits_ith(model.ctx, -1)
            rows.append(np.ctypeslib.as_array(last, shape=(model.n_vocab(),)).copy())
        yield np.stack(rows)
    model.close()


def summarise(
    items: Sequence[Turn],
    adapter: Sequence[Logits],
    found: Iterable[Logits],
    *,
    prompts: int,
    prompts_differ: int,
) -> Parity:
    """Put one file's logits, turn by turn, beside the adapter's.

    Of `prompts` that its own template rendered, `prompts_differ` became other tokens. Raises
    DataError if the file has another vocabulary.
    """
    largest, divergence, agreeing, positions = 0.0, 0.0, 0, 0
    loss, adapter_loss = 0.0, 0.0
    for turn, ours, theirs in zip(items, adapter, found, strict=True):
        if ours.shape != theirs.shape:
            raise DataError(
                f"logits for {theirs.shape[-1]} tokens, the adapter for {ours.shape[-1]}: "
                "a produced file has another vocabulary",
                hint="run: python -m factory run finetune --force",
            )
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
        prompts=prompts,
        prompts_differ=prompts_differ,
        max_logit_difference=_finite(largest),
        mean_kl_divergence=_finite(divergence / positions),
        top_token_agreement=_finite(agreeing / positions) if math.isfinite(largest) else None,
        loss=_finite(loss / positions),
        adapter_loss=_finite(adapter_loss / positions),
    )


def _log_softmax(logits: Logits) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
