"""Stage 5, export: a release in which every file is proven to be the adapter that passed."""

from __future__ import annotations

from pathlib import Path

from factory import artifacts, naming, pipeline, storage
from factory.artifacts import Check, Decision, EvaluationReport
from factory.context import Context
from factory.export import gate, hub, leaks, metadata, model_card, modelfile, release, verification
from factory.export.release import Plan
from factory.export.report import ReleaseReport
from factory.scoring.table import show_metrics
from factory.training import metadata as training_metadata

VERIFICATION = "verification.json"
CARD = "README.md"


def plan(context: Context) -> list[str]:
    """What a dry run says about this stage."""
    shipped = _what_ships(context)
    folder = context.workspace.relative(pipeline.release_folder(context))
    return [f"copies {len(shipped.copies)} files, {shipped.size / 1e6:.1f} MB, into {folder}"]


def run(context: Context) -> dict[str, Decision]:
    """Copy, measure and describe everything that ships; swap the folder in when it is whole.

    Raises DataError for a missing or unreadable input, FactoryError for a full disk.
    """
    hub.require_usable(context.config.save)
    shipped, folder = _what_ships(context), pipeline.release_folder(context)
    release.require_space(shipped.size, folder)
    with release.building(folder) as work:
        copied = release.copy(shipped, work)
        report = verification.verify(context, work, copied)
        report = report.model_copy(update={"left_out": shipped.left_out})
        report = _describe(context, work, report)
        release.write_checksums(work, copied)
        outcome = release.swap_in(work, folder)
    _show(context, report)
    name = context.workspace.relative(folder)
    checks = gate.judge_release(report, context.config)
    uploaded = hub.push(context.config.save, folder, checks)
    return {"release": Decision(value=name, reason=outcome), **uploaded}


def judge(context: Context) -> list[Check]:
    """Is every file of the release the adapter that passed?"""
    path = pipeline.release_folder(context) / VERIFICATION
    return gate.judge_release(artifacts.load(ReleaseReport, path), context.config)


def publish(context: Context, checks: list[Check]) -> dict[str, Path]:
    """Quote in the model card what a person let pass; return the files that changed."""
    folder = pipeline.release_folder(context)
    report = artifacts.load(ReleaseReport, folder / VERIFICATION)
    changed = release.rewrite(folder, CARD, model_card.write(context, report, checks))
    return {context.workspace.relative(path): path for path in changed}


def _what_ships(context: Context) -> Plan:
    return release.plan(
        context.path("save.lora_path"),
        context.path("save.merged_path"),
        {name: pipeline.gguf_file(context, name) for name in context.config.save.gguf_quantization},
        naming.of(context.config),
    )


def _describe(context: Context, work: Path, report: ReleaseReport) -> ReleaseReport:
    """Write the texts of the release; return the report with what leaks from any file."""
    _write_texts(context, work, report)
    found = leaks.find(work, context.workspace.root)
    if found:
        report = report.model_copy(update={"leaks": found})
        _write_texts(context, work, report)
    return report


def _write_texts(context: Context, work: Path, report: ReleaseReport) -> None:
    first = report.gguf[context.config.save.gguf_quantization[0]]
    length = context.config.model.max_seq_length
    storage.write_text(
        work / "Modelfile", modelfile.write(first.path, report.ollama, context_length=length)
    )
    storage.write_json(work / "metadata.json", metadata.build(context, report))
    storage.write_json(work / training_metadata.SPECIALIST, training_metadata.specialist(context))
    checks = gate.judge_release(report, context.config)
    storage.write_text(work / CARD, model_card.write(context, report, checks))
    artifacts.save(report, work / VERIFICATION)


def _show(context: Context, report: ReleaseReport) -> None:
    evaluation = artifacts.load(EvaluationReport, context.workspace.evaluation_report)
    ggufs = {name: proof.metrics for name, proof in report.gguf.items()}
    measured = {"fine-tuned": evaluation.metrics, "merged": report.merged.metrics, **ggufs}
    if evaluation.baseline is not None:
        measured = {"baseline": evaluation.baseline, **measured}
    show_metrics(context.console, measured)
