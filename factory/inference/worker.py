"""The generation process: `python -m factory.inference.worker REQUEST.json`.

Reads a request, asks the model every turn of the rows, writes one answer a line (atomically),
reports progress as events. It runs apart from the parent, which stays light and can kill it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from factory import child, storage
from factory.data.conversation import Row
from factory.errors import DataError, FactoryError
from factory.inference import llama_cpp_engine, request, transformers_engine
from factory.inference.request import Answer, Request
from factory.inference.turns import Turn, strip_end, turns
from factory.training.templates.training_data import BadData, use_template


def main(path: Path) -> int:
    """Answer one request; an expected error is sent to the parent as an event."""
    try:
        _answer(request.read(path))
    except FactoryError as error:
        child.emit({"event": "error", **error.as_json()})
        return 1
    return 0


def _answer(asked: Request) -> None:
    tokenizer = load_tokenizer(asked)
    items = _turns(tokenizer, asked)
    progress = _reporter(len(items) * (2 if asked.losses else 1))
    if asked.engine == "llama_cpp":
        answers = _ask_llama_cpp(asked, tokenizer, items, progress)
    else:
        answers = _ask_transformers(asked, tokenizer, items, progress)
    with storage.atomic_write(Path(asked.output)) as file:
        for answer in answers:
            storage.write_jsonl(file, answer.as_json())


def load_tokenizer(asked: Request) -> Any:
    """The tokenizer with the template that the configuration names."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(asked.tokenizer)
    try:
        use_template(tokenizer, asked.chat_template)
    except BadData as error:
        raise DataError(str(error), where=asked.tokenizer) from None
    return tokenizer


def _turns(tokenizer: Any, asked: Request) -> list[Turn]:
    wanted = set(asked.ids)
    found = [
        turn
        for value in storage.read_jsonl(Path(asked.rows))
        if value["id"] in wanted
        for turn in turns(tokenizer, cast(Row, value), which=asked.turns)
    ]
    if not found:
        raise DataError("no assistant turn to ask for", where=asked.rows)
    return found


def _reporter(total: int) -> Callable[[], None]:
    done = 0

    def progress() -> None:
        nonlocal done
        done += 1
        child.emit({"event": "progress", "done": done, "total": total})

    return progress


def _ask_transformers(
    asked: Request, tokenizer: Any, items: list[Turn], progress: Callable[[], None]
) -> list[Answer]:
    model = transformers_engine.load(asked)
    generated = transformers_engine.generate(model, tokenizer, items, asked, progress)
    losses: list[float] | list[None] = [None] * len(items)
    if asked.losses:
        losses = transformers_engine.likelihoods(model, items, asked, progress)
    stops = transformers_engine.stop_ids(model, tokenizer)
    return [
        _said(tokenizer, turn, ids, stops, nll)
        for turn, ids, nll in zip(items, generated, losses, strict=True)
    ]


def _ask_llama_cpp(
    asked: Request, tokenizer: Any, items: list[Turn], progress: Callable[[], None]
) -> list[Answer]:
    model = llama_cpp_engine.load(asked)
    stops = {int(tokenizer.eos_token_id), int(model.token_eos())}
    generated, differ = llama_cpp_engine.generate(model, items, stops, asked, progress)
    return [
        _said(tokenizer, turn, ids, stops, None, tokens_differ=unlike)
        for turn, ids, unlike in zip(items, generated, differ, strict=True)
    ]


def _said(
    tokenizer: Any,
    turn: Turn,
    ids: list[int],
    stops: set[int],
    nll: float | None,
    *,
    tokens_differ: bool = False,
) -> Answer:
    text = tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return Answer(
        row_id=turn.row_id,
        turn=turn.index,
        text=strip_end(tokenizer, text),
        generated_tokens=len(ids),
        truncated=not ids or ids[-1] not in stops,
        nll=nll,
        tokens=len(turn.target_ids),
        tokens_differ=tokens_differ,
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
