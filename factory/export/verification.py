"""Measure every file of a release that is being built, and put the findings into one report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from factory import artifacts, ledger, naming, pipeline, storage
from factory.artifacts import EvaluationReport
from factory.context import Context
from factory.export import answers, gguf_tensors, proof
from factory.export.proof import Proof
from factory.export.report import ModelProof, ReleaseReport, WeightsProof
from factory.inference.measure import measure
from factory.inference.request import Engine


def verify(context: Context, work: Path, copied: Mapping[str, str]) -> ReleaseReport:
    """Reload what was copied into `work` and compare it with the weights that passed.

    `copied` maps each file's name in the release to its sha256. Raises DataError for files that
    cannot be read, FactoryError when a measuring process fails.
    """
    evaluation = artifacts.load(EvaluationReport, context.workspace.evaluation_report)
    names = naming.of(context.config)
    merged = work / names.merged
    gguf: dict[str, Path] = {name: work / path for name, path in names.gguf.items()}
    adapter = None if names.adapter is None else work / names.adapter
    found = proof.prove(context, adapter=adapter, merged=merged, gguf=gguf)
    return ReleaseReport(
        name=context.config.project.name,
        version=context.config.project.version,
        test_sha256=storage.sha256_file(context.path("dataset.test_path")),
        method="full" if adapter is None else "lora",
        weights=_weights(context, copied, evaluation),
        merged=_model(context, work, "merged", "transformers", merged, evaluation, found),
        gguf={
            name: _model(context, work, name, "llama_cpp", path, evaluation, found)
            for name, path in gguf.items()
        },
        ollama=found.ollama,
        leaks=[],
        left_out=[],
    )


def _weights(
    context: Context, copied: Mapping[str, str], evaluation: EvaluationReport
) -> WeightsProof:
    """The trained files now, and as the evaluation's gate file recorded them."""
    gate = ledger.read_gate(context.workspace, "evaluate")
    inputs = gate.inputs if gate else {}
    names = naming.of(context.config)
    shipped = f"{names.adapter or names.merged}/"
    prefix = f"{context.workspace.relative(pipeline.tuned(context))}/"
    return WeightsProof(
        evaluated={
            name.removeprefix(prefix): known.sha256
            for name, known in inputs.items()
            if name.startswith(prefix)
        },
        shipped={
            name.removeprefix(shipped): sha256
            for name, sha256 in copied.items()
            if name.startswith(shipped)
        },
        measured=evaluation.weights_sha256,
    )


def _model(
    context: Context,
    work: Path,
    name: str,
    engine: Engine,
    path: Path,
    evaluation: EvaluationReport,
    found: Proof,
) -> ModelProof:
    """Ask one produced model every test row, and read what it is made of."""
    measured = measure(context, name=f"export-{name}", engine=engine, model=path)
    adapter_predictions = context.workspace.predictions / "evaluation.jsonl"
    is_gguf = engine == "llama_cpp"
    return ModelProof(
        path=path.relative_to(work).as_posix(),
        size=sum(file.stat().st_size for file in _files(path)),
        metrics=measured.metrics,
        comparable=measured.protocol == evaluation.protocol,
        prompts_tokenized_differently=measured.prompts_tokenized_differently,
        answers=answers.compare(adapter_predictions, context.workspace.root / measured.predictions),
        parity=found.parity[name],
        tensors=gguf_tensors.inspect(path) if is_gguf else None,
        end_token_id=found.end_token_id if is_gguf else None,
        predictions=measured.predictions,
        predictions_sha256=measured.predictions_sha256,
    )


def _files(path: Path) -> list[Path]:
    return storage.list_files(path) if path.is_dir() else [path]
