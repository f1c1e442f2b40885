"""Greedy answers from a GGUF through llama.cpp: what a user of the shipped file will see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from factory.inference.request import Request
from factory.inference.turns import Turn


def load(request: Request) -> Any:
    """The GGUF with a context that holds the longest prompt and its answer."""
    from llama_cpp import Llama

    return Llama(
        model_path=request.model,
        n_ctx=request.max_seq_length + request.max_new_tokens,
        n_threads=request.threads,
        n_threads_batch=request.threads,
        n_gpu_layers=-1,
        verbose=False,
    )


def tokenize(model: Any, turn: Turn) -> list[int]:
    """The prompt in llama.cpp's own tokens; BOS is part of the rendered text where it belongs."""
    ids: list[int] = model.tokenize(turn.prompt.encode("utf-8"), add_bos=False, special=True)
    return ids


def generate(
    model: Any,
    turns: Sequence[Turn],
    stops: set[int],
    request: Request,
    progress: Callable[[], None],
) -> tuple[list[list[int]], list[bool]]:
    """Greedy token ids of every turn, and whether llama.cpp tokenized its prompt differently."""
    answers, differ = [], []
    for turn in turns:
        prompt = tokenize(model, turn)
        answers.append(_continue(model, prompt, stops, request.max_new_tokens))
        differ.append(prompt != turn.prompt_ids)
        progress()
    return answers, differ


def _continue(model: Any, prompt: list[int], stops: set[int], limit: int) -> list[int]:
    ids: list[int] = []
    model.reset()
    for token in model.generate(prompt, temp=0.0, top_k=1, repeat_penalty=1.0):
        ids.append(token)
        if token in stops or len(ids) == limit:
            break
    return ids
