"""Measure one model on the test rows: ask it in a child process, score, report.

Baseline, evaluation and every GGUF go through this same function, so that their numbers differ
by the model alone.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from factory import base_model, chat_template, child, hardware, storage
from factory.artifacts import EvaluationReport, Protocol
from factory.context import Context
from factory.errors import DataError, FactoryError, OutOfMemory
from factory.inference.request import Answer, Engine, Request
from factory.scoring import metrics, text, tool_calls
from factory.scoring.metrics import ScoredTurn

WORKER = "factory.inference.worker"
KILLED = -9
ASKED = "ask-"  # what the folder of one measurement is called


def measure(
    context: Context,
    *,
    name: str,
    engine: Engine,
    model: Path,
    adapter: Path | None = None,
    losses: bool = True,
    predictions: Path | None = None,
) -> EvaluationReport:
    """Ask `model` every test row and score the answers.

    Writes one prediction a turn to `predictions` (default `metrics/predictions/<name>.jsonl`) and
    returns the report, unsaved. Raises DataError for unusable rows, OutOfMemory, FactoryError
    when the child fails.
    """
    predictions = predictions or context.workspace.predictions / f"{name}.jsonl"
    rows = sampled_rows(context)
    request_values = _request(context, engine, model, adapter, losses=losses)
    answers = _ask(context, name, request_values, [row["id"] for row in rows])
    scored = list(_score(context, rows, answers))
    _write_predictions(predictions, rows, answers, scored)
    workspace = context.workspace
    return EvaluationReport(
        protocol=protocol(context, [row["id"] for row in rows]),
        engine=engine,
        model=workspace.relative(model),
        metrics=metrics.summarise(scored),
        per_tool=metrics.by_tool(scored),
        per_tag=metrics.by_tag(scored),
        prompts_tokenized_differently=sum(answer.tokens_differ for answer in answers),
        predictions=workspace.relative(predictions),
        predictions_sha256=storage.sha256_file(predictions),
    )


def sampled_rows(context: Context) -> list[dict[str, Any]]:
    """The test rows to ask: all, or a seeded sample of `evaluation.max_samples`, in file order."""
    import random

    rows = list(storage.read_jsonl(context.path("dataset.test_path")))
    limit = context.config.evaluation.max_samples
    if limit is None or limit >= len(rows):
        return rows
    picked = random.Random(context.config.evaluation.seed).sample(range(len(rows)), limit)
    return [rows[place] for place in sorted(picked)]


def protocol(context: Context, ids: list[str]) -> Protocol:
    """Everything that has to be equal for two reports to be compared."""
    base = base_model.resolve(context)
    evaluation = context.config.evaluation
    return Protocol(
        test_sha256=storage.sha256_file(context.path("dataset.test_path")),
        chat_template_sha256=storage.sha256_json(chat_template.override(context)),
        tokenizer_sha256=_fingerprint(base.tokenizer_files()),
        base_model=base.name,
        base_revision=base.revision,
        base_sha256=_fingerprint(base.files()),
        generation={
            "do_sample": False,
            "max_new_tokens": evaluation.max_new_tokens,
            "turns": evaluation.turns,
            "answer_pattern": evaluation.answer_pattern,
            "dtype": evaluation.dtype,
            "load_in_4bit": context.config.model.load_in_4bit,
        },
        scorer_version=metrics.SCORER_VERSION,
        evaluated_ids_sha256=storage.sha256_json(ids),
    )


def _fingerprint(files: dict[str, Path]) -> str:
    return storage.sha256_json({name: storage.sha256_file(path) for name, path in files.items()})


def _request(
    context: Context, engine: Engine, model: Path, adapter: Path | None, *, losses: bool
) -> dict[str, Any]:
    """The request's fields, without the rows and where the answers go."""
    base, evaluation = base_model.resolve(context), context.config.evaluation
    return {
        "engine": engine,
        "model": str(model),
        "adapter": None if adapter is None else str(adapter),
        "tokenizer": str(base.folder),
        "chat_template": chat_template.override(context),
        "rows": str(context.path("dataset.test_path")),
        "turns": evaluation.turns,
        "max_new_tokens": evaluation.max_new_tokens,
        "batch_size": evaluation.batch_size,
        "dtype": evaluation.dtype,
        "load_in_4bit": context.config.model.load_in_4bit,
        "threads": hardware.threads_for(base.folder, context.config.training.num_threads).value,
        "max_seq_length": context.config.model.max_seq_length,
        "losses": losses and engine == "transformers",
    }


def _ask(context: Context, name: str, values: dict[str, Any], ids: list[str]) -> list[Answer]:
    """Run the child; its files live in a folder of their own that is gone afterwards."""
    workspace = context.workspace
    workspace.state.mkdir(parents=True, exist_ok=True)
    log = workspace.logs / f"{name}.log"
    for left in workspace.state.glob(f"{ASKED}*"):  # by a killed run: the workspace lock is held
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=workspace.state, prefix=ASKED) as folder:
        asked, output = Path(folder, "request.json"), Path(folder, "answers.jsonl")
        request = Request(**values, ids=ids, output=str(output))
        request.save(asked)
        with context.console.bar(name) as bar:
            failure: list[dict[str, Any]] = []

            def on_event(event: dict[str, Any]) -> None:
                if event["event"] == "error":
                    failure.append(event)
                else:
                    bar.update(event["done"], total=event["total"])

            code = child.run(
                child.python(WORKER, str(asked)),
                log=log,
                environment=child.thread_environment(request.threads),
                on_event=on_event,
            )
        if code != 0:
            raise _explain(failure, code, log)
        return [Answer(**value) for value in storage.read_jsonl(output)]


def _explain(failure: list[dict[str, Any]], code: int, log: Path) -> FactoryError:
    if failure:
        event = failure[0]
        return DataError(event["message"], where=event["where"], hint=event["hint"])
    last = child.tail(log)
    if code == KILLED or "out of memory" in last.lower():
        return OutOfMemory(
            "generation ran out of memory",
            where=str(log),
            hint="lower evaluation.batch_size, or set model.load_in_4bit on a GPU",
        )
    return FactoryError(f"generation failed with exit code {code}:\n{last}", where=str(log))


def _score(
    context: Context, rows: Sequence[dict[str, Any]], answers: Sequence[Answer]
) -> Iterator[ScoredTurn]:
    pattern = text.compile_answer(context.config.evaluation.answer_pattern)
    by_id = {row["id"]: row for row in rows}
    for answer in answers:
        row = by_id[answer.row_id]
        yield score_turn(row, row["conversations"][answer.turn], answer, pattern)


def rescore(context: Context, name: str) -> list[ScoredTurn]:
    """Score the answers in `metrics/predictions/<name>.jsonl` again."""
    path = context.workspace.predictions / f"{name}.jsonl"
    answers = [
        Answer(
            row_id=line["id"],
            turn=line["turn"],
            text=line["generated"],
            generated_tokens=line["generated_tokens"],
            truncated=line["truncated"],
            nll=line["nll"],
            tokens=line["tokens"],
        )
        for line in storage.read_jsonl(path)
    ]
    return list(_score(context, sampled_rows(context), answers))


def score_turn(
    row: dict[str, Any], message: dict[str, Any], answer: Answer, pattern: re.Pattern[str] | None
) -> ScoredTurn:
    """Score one answer against the turn it stands for."""
    expected = tool_calls.expected_calls(message)
    given, wished = text.said(answer.text), text.said(message["content"])
    found = tool_calls.read(given)
    wanted = text.answer(pattern, wished) if pattern and not expected else None
    return ScoredTurn(
        row_id=answer.row_id,
        turn=answer.turn,
        nll=answer.nll,
        tokens=answer.tokens,
        truncated=answer.truncated,
        broken=found.broken,
        call=tool_calls.score(expected, found.calls) if expected else None,
        answer=None if wanted is None or pattern is None else text.answer(pattern, given) == wanted,
        text=None if expected else text.normalise(given) == text.normalise(wished),
        tools=tuple(call.name for call in expected),
        tags=row.get("tags", {}),
    )


def _write_predictions(
    path: Path,
    rows: Sequence[dict[str, Any]],
    answers: Sequence[Answer],
    scored: Sequence[ScoredTurn],
) -> None:
    by_id = {row["id"]: row for row in rows}
    with storage.atomic_write(path) as file:
        for answer, score in zip(answers, scored, strict=True):
            message = by_id[answer.row_id]["conversations"][answer.turn]
            expected = {key: message[key] for key in ("content", "tool_calls") if key in message}
            line: dict[str, Any] = {
                "id": answer.row_id,
                "turn": answer.turn,
                "generated": answer.text,
                "expected": expected,
                "exact_match": score.exact,
                "text_match": score.text,
                "tool_correct": score.call.tool if score.call else None,
                "generated_tokens": answer.generated_tokens,
                "truncated": answer.truncated,
                "nll": answer.nll,
                "tokens": answer.tokens,
            }
            storage.write_jsonl(file, line)
