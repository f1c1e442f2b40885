"""The whole workflow on one screen: what each stage reads, writes and depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from factory import base_model, chat_template, naming, storage
from factory.context import Context
from factory.errors import ConfigError, did_you_mean

Files = dict[str, Path]
SCRIPT_FILES = ("train.py", "training_data.py", "training_process.py", "training_state.py")


@dataclass(frozen=True)
class Stage:
    """One step.

    `reads` and `writes` list files by the name the gate file records; `settings` are the
    configuration values the work depends on; the gate of `after` has to be open.
    `module` offers `run(context)` and `judge(context)`.
    """

    name: str
    purpose: str
    after: str | None
    reads: Callable[[Context], Files]
    writes: Callable[[Context], Files]
    settings: tuple[str, ...]
    thresholds: str
    module: str


def _named(context: Context, *paths: Path) -> Files:
    """Files by workspace-relative name; a folder stands for the files below it."""
    found: Files = {}
    for path in paths:
        members = storage.list_files(path) if path.is_dir() and not path.is_symlink() else [path]
        found |= {context.workspace.relative(member): member for member in members}
    return found


def _raw(context: Context) -> Files:
    from factory.data import sources

    tokenizer = base_model.resolve(context).tokenizer_files()
    raw = {source.name: source.path for source in sources.configured(context)}
    others = [
        context.resolve(path, field="dataset.decontaminate")
        for path in context.config.dataset.decontaminate
    ]
    semantic = context.config.dataset.semantic_dedup
    if semantic is not None:
        others.append(context.resolve(semantic.model, field="dataset.semantic_dedup.model"))
    return raw | _named(context, *others) | tokenizer | _template(context)


def _splits(context: Context, *names: str) -> Files:
    return _named(context, *(context.path(f"dataset.{name}") for name in names))


def _formatted(context: Context) -> Files:
    workspace = context.workspace
    written = [workspace.dataset_report, workspace.dataset_page, workspace.rejects]
    if context.config.dataset.pii != "off":
        written.append(workspace.findings)
    return _splits(context, "path", "validation_path", "test_path") | _named(context, *written)


def _template(context: Context) -> Files:
    """The chat template, where it is a file of the workspace."""
    path = chat_template.file(context)
    return {} if path is None else _named(context, path)


def _base(context: Context) -> Files:
    return base_model.resolve(context).files() | _template(context)


def _base_and_test(context: Context) -> Files:
    return _base(context) | _splits(context, "test_path")


def _baseline(context: Context) -> Files:
    workspace = context.workspace
    return _named(context, workspace.baseline_report, workspace.predictions / "baseline.jsonl")


def _base_and_train(context: Context) -> Files:
    return _base(context) | _splits(context, "path", "validation_path")


def gguf_file(context: Context, quantization: str) -> Path:
    """Where the GGUF of one quantization lies."""
    name = naming.slug(context.config.project.name)
    return context.path("save.gguf_path") / f"{name}-{quantization}.gguf"


def tuned(context: Context) -> Path:
    """The trained weights that evaluate measures: the adapter, or the model trained as a whole."""
    full = context.config.model.full_finetuning
    return context.path("save.merged_path" if full else "save.lora_path")


def _models(context: Context) -> Files:
    ggufs = [gguf_file(context, name) for name in context.config.save.gguf_quantization]
    return _named(context, tuned(context), context.path("save.merged_path"), *ggufs)


def _trained(context: Context) -> Files:
    workspace = context.workspace
    script = (workspace.script.with_name(name) for name in SCRIPT_FILES)
    records = (
        workspace.training_stats,
        workspace.training_page,
        workspace.script_config,
        *script,
    )
    return _models(context) | _named(context, *records)


def _tuned_and_test(context: Context) -> Files:
    weights = _named(context, tuned(context))
    return _base_and_test(context) | weights | _named(context, context.workspace.baseline_report)


def _evaluation(context: Context) -> Files:
    workspace = context.workspace
    return _named(context, workspace.evaluation_report, workspace.predictions / "evaluation.jsonl")


def _measured(context: Context) -> Files:
    workspace = context.workspace
    reports = (workspace.dataset_report, workspace.training_stats, workspace.baseline_report)
    tests = _splits(context, "test_path")
    return _models(context) | _evaluation(context) | tests | _named(context, *reports)


def release_folder(context: Context) -> Path:
    """`models/release/<name>`, by the template `project.release_name`."""
    return context.workspace.releases / naming.of(context.config).folder


def _release(context: Context) -> Files:
    return _named(context, release_folder(context))


STAGES = (
    Stage(
        name="format",
        purpose="raw examples -> validated, de-duplicated, leak-free splits",
        after=None,
        reads=_raw,
        writes=_formatted,
        settings=("dataset", "model.name", "model.revision", "model.max_seq_length"),
        thresholds="dataset",
        module="factory.stages.format",
    ),
    Stage(
        name="baseline",
        purpose="what the base model scores on the test rows",
        after="format",
        reads=_base_and_test,
        writes=_baseline,
        settings=("model", "evaluation", "dataset.chat_template", "dataset.test_path"),
        thresholds="evaluation",
        module="factory.stages.baseline",
    ),
    Stage(
        name="finetune",
        purpose="training on responses only, then adapter, merged 16-bit and GGUF",
        after="baseline",
        reads=_base_and_train,
        writes=_trained,
        settings=(
            "project.name",
            "model",
            "lora",
            "training",
            "save",
            "dataset.chat_template",
            "dataset.path",
            "dataset.validation_path",
            "tracking",
            "wandb",
        ),
        thresholds="training",
        module="factory.stages.finetune",
    ),
    Stage(
        name="evaluate",
        purpose="what the fine-tuned model scores, paired with the baseline",
        after="finetune",
        reads=_tuned_and_test,
        writes=_evaluation,
        settings=(
            "model",
            "evaluation",
            "dataset.chat_template",
            "save.lora_path",
            "save.merged_path",
        ),
        thresholds="evaluation",
        module="factory.stages.evaluate",
    ),
    Stage(
        name="export",
        purpose="a release: adapter, merged model, GGUF, model card, checksums",
        after="evaluate",
        reads=_measured,
        writes=_release,
        settings=("project", "expert", "model", "lora", "save", "evaluation"),
        thresholds="save",
        module="factory.stages.export",
    ),
)
NAMES = tuple(stage.name for stage in STAGES)


def find(name: str) -> Stage:
    """The stage called `name`; ConfigError with the nearest name otherwise."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    choices = (*NAMES, "all")
    raise ConfigError(
        f"no stage {name!r}{did_you_mean(name, choices)}", hint=f"stages: {', '.join(choices)}"
    )


def before(stage: Stage) -> list[Stage]:
    """The stages that have to be done before `stage`, first to last."""
    return list(STAGES[: STAGES.index(stage)])
