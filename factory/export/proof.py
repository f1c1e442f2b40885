"""Prove that every produced file is the adapter that passed: ask the proving process."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from factory import base_model, chat_template, child, hardware, pipeline, storage
from factory.context import Context
from factory.errors import DataError, FactoryError
from factory.export.report import OllamaTemplate, Parity
from factory.inference.measure import sampled_rows
from factory.inference.request import Request

WORKER = "factory.export.proof_worker"
# Logits over a whole vocabulary are large: a seeded sample of test rows is compared.
SAMPLE_ROWS = 16


@dataclass(frozen=True)
class ProofRequest:
    """What the child compares: `reference` is base + adapter, or the model trained as a whole.

    It is loaded as the evaluation loaded it.
    """

    reference: Request
    merged: str
    merged_dtype: str
    gguf: dict[str, str]
    output: str

    def save(self, path: Path) -> None:
        """Write the request where the child will read it."""
        storage.write_json(path, asdict(self))


@dataclass(frozen=True)
class Proof:
    """What the child found: `parity` by `merged` and quantization."""

    parity: dict[str, Parity]
    ollama: OllamaTemplate
    end_token_id: int | None


def read_request(path: Path) -> ProofRequest:
    """The request the parent wrote."""
    values: dict[str, Any] = storage.read_json(path)
    return ProofRequest(**{**values, "reference": Request(**values["reference"])})


def prove(
    context: Context, *, adapter: Path | None, merged: Path, gguf: Mapping[str, Path]
) -> Proof:
    """Compare the merged folder and each GGUF (by quantization) with what was evaluated.

    That is base + adapter, or, without an adapter, the model trained as a whole.

    Raises DataError for files that cannot be read, FactoryError when the child fails.
    """
    log = context.workspace.logs / "export-proof.log"
    with _scratch(context.workspace.state / "proof") as folder:
        request = ProofRequest(
            reference=_reference(context, adapter),
            merged=str(merged),
            merged_dtype=stored_dtype(merged),
            gguf={name: str(file) for name, file in gguf.items()},
            output=str(folder / "proof.json"),
        )
        request.save(folder / "request.json")
        _run(request, folder / "request.json", log)
        values = storage.read_json(folder / "proof.json")
    return Proof(
        parity={name: Parity.model_validate(found) for name, found in values["parity"].items()},
        ollama=OllamaTemplate.model_validate(values["ollama"]),
        end_token_id=values["end_token_id"],
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards; what a killed run left in it is swept away."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stored_dtype(merged: Path) -> str:
    """The type that the merged weights are stored in, from its config.json."""
    configuration = storage.read_json(merged / "config.json")
    for place in (configuration, configuration.get("text_config", {})):
        for key in ("dtype", "torch_dtype"):
            if place.get(key) in ("float32", "bfloat16", "float16"):
                return str(place[key])
    raise DataError(
        "does not say the type of its weights (dtype)",
        where=str(merged / "config.json"),
        hint="run: python -m factory run finetune --force",
    )


def _reference(context: Context, adapter: Path | None) -> Request:
    """How the evaluation loads what it measures; in 16 bit or more, since merging needs that."""
    base, evaluation = base_model.resolve(context), context.config.evaluation
    rows = sampled_rows(context)
    picked = random.Random(evaluation.seed).sample(rows, min(SAMPLE_ROWS, len(rows)))
    return Request(
        engine="transformers",
        model=str(pipeline.tuned(context) if adapter is None else base.folder),
        adapter=None if adapter is None else str(adapter),
        tokenizer=str(base.folder),
        chat_template=chat_template.override(context),
        rows=str(context.path("dataset.test_path")),
        ids=[row["id"] for row in picked],
        turns=evaluation.turns,
        output="",
        max_new_tokens=1,
        batch_size=1,
        dtype=evaluation.dtype,
        load_in_4bit=False,
        threads=hardware.threads_for(base.folder, context.config.training.num_threads).value,
        max_seq_length=context.config.model.max_seq_length,
        losses=False,
    )


def _run(request: ProofRequest, asked: Path, log: Path) -> None:
    failures: list[dict[str, Any]] = []
    code = child.run(
        child.python(WORKER, str(asked)),
        log=log,
        environment=child.thread_environment(request.reference.threads),
        on_event=failures.append,
    )
    if failures:
        first = failures[0]
        raise DataError(first["message"], where=first["where"], hint=first["hint"])
    if code != 0:
        raise FactoryError(
            "comparing the files with what was evaluated failed with exit code "
            f"{code}:\n{child.tail(log)}",
            where=str(log),
        )
