"""Greedy answers and the likelihood of expected turns, from a transformers model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from factory.inference.request import Request
from factory.inference.turns import Turn

# One block of float32 logits is kept below this many bytes.
LOGIT_BYTES = 512 << 20


def load(request: Request) -> Any:
    """The model in evaluation mode; the adapter, if any, stays unmerged."""
    import torch
    from transformers import AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    options: dict[str, Any] = {"dtype": _dtype(request, cuda)}
    if cuda:
        options["device_map"] = {"": 0}
    if request.load_in_4bit and cuda:
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=options["dtype"],
        )
    torch.manual_seed(0)
    torch.set_num_threads(request.threads)
    model = AutoModelForCausalLM.from_pretrained(request.model, use_safetensors=True, **options)
    if request.adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, request.adapter)
    return model.eval()


def _dtype(request: Request, cuda: bool) -> Any:
    """float32 on a CPU, where scores then do not depend on the batch; bfloat16 on a GPU."""
    import torch

    name = request.dtype if request.dtype != "auto" else ("bfloat16" if cuda else "float32")
    return getattr(torch, name)


def generate(
    model: Any,
    tokenizer: Any,
    turns: Sequence[Turn],
    request: Request,
    progress: Callable[[], None],
) -> list[list[int]]:
    """Greedy continuation of every prompt: token ids without padding, in the order of `turns`."""
    answers: list[list[int]] = [[] for _ in turns]
    # Longest first: the largest batch fails at once if it does not fit, and padding is least.
    order = sorted(range(len(turns)), key=lambda place: -len(turns[place].prompt_ids))
    for batch in _batches(order, request.batch_size):
        prompts = [turns[place].prompt_ids for place in batch]
        for place, ids in zip(batch, _continue(model, tokenizer, prompts, request), strict=True):
            answers[place] = ids
            progress()
    return answers


def _batches(order: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _continue(
    model: Any, tokenizer: Any, prompts: list[list[int]], request: Request
) -> list[list[int]]:
    import torch

    width = max(map(len, prompts))
    pad = _pad_id(tokenizer)
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    stops = stop_ids(model, tokenizer)
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=request.max_new_tokens,
            eos_token_id=sorted(stops),
            pad_token_id=pad,
        )
    return [_until_stop(row[width:].tolist(), stops) for row in output]


def _until_stop(ids: list[int], stops: set[int]) -> list[int]:
    """Keep the first stop token (it tells a finished answer from a cut one), drop the padding."""
    for place, token in enumerate(ids):
        if token in stops:
            return ids[: place + 1]
    return ids


def _pad_id(tokenizer: Any) -> int:
    chosen = tokenizer.pad_token_id
    return int(tokenizer.eos_token_id if chosen is None else chosen)


def stop_ids(model: Any, tokenizer: Any) -> set[int]:
    """Tokens that end an answer: the tokenizer's EOS and those of the generation configuration."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return {int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None}


def likelihoods(
    model: Any, turns: Sequence[Turn], request: Request, progress: Callable[[], None]
) -> list[float]:
    """Summed negative log-likelihood (nats) of each expected turn given its prompt."""
    found = [0.0] * len(turns)
    order = sorted(range(len(turns)), key=lambda place: -_length(turns[place]))
    for batch in _batches(order, _rows_that_fit(model, turns, request)):
        scored = _batch_likelihoods(model, [turns[place] for place in batch])
        for place, value in zip(batch, scored, strict=True):
            found[place] = value
            progress()
    return found


def _length(turn: Turn) -> int:
    return len(turn.prompt_ids) + len(turn.target_ids)


def _rows_that_fit(model: Any, turns: Sequence[Turn], request: Request) -> int:
    longest = max(map(_length, turns), default=1)
    row_bytes = longest * model.config.get_text_config().vocab_size * 4
    return max(1, min(request.batch_size, LOGIT_BYTES // row_bytes))


def _batch_likelihoods(model: Any, turns: Sequence[Turn]) -> list[float]:
    import torch

    width = max(map(_length, turns))
    rows = [turn.prompt_ids + turn.target_ids for turn in turns]
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
    mask = torch.tensor(
        [[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device
    )
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    totals = []
    for place, turn in enumerate(turns):
        first, last = len(turn.prompt_ids), _length(turn)
        # The logits at position t predict token t + 1.
        log_probabilities = logits[place, first - 1 : last - 1].float().log_softmax(-1)
        targets = ids[place, first:last, None]
        totals.append(-float(log_probabilities.gather(1, targets).sum()))
    return totals
