"""README.md of a release: the model card, every number from a manifest of this workspace."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory import artifacts, base_model, naming
from factory.artifacts import (
    Check,
    DatasetReport,
    EvaluationReport,
    GateFile,
    Interval,
    Metrics,
    Waiver,
)
from factory.base_model import BaseModel
from factory.context import Context
from factory.errors import DataError
from factory.export import metadata
from factory.export.report import ModelProof, ReleaseReport
from factory.naming import ReleaseNames
from factory.storage import open_regular

SHOWN = (
    ("exact_match", "exact match"),
    ("tool_accuracy", "tool accuracy"),
    ("parameter_precision", "parameter precision"),
    ("parameter_recall", "parameter recall"),
    ("parameter_f1", "parameter F1"),
    ("text_match", "text match"),
    ("loss", "loss (nats per token)"),
    ("perplexity", "perplexity"),
)
TRAINING_STATS = (
    "samples",
    "epochs",
    "total_steps",
    "effective_batch_size",
    "tokens_seen",
    "initial_loss",
    "final_loss",
    "eval_loss",
    "trainable_parameters",
    "total_parameters",
    "device",
    "dtype",
)
HYPERPARAMETERS = (
    "model.max_seq_length",
    "model.load_in_4bit",
    "lora.r",
    "lora.lora_alpha",
    "lora.lora_dropout",
    "lora.target_modules",
    "training.learning_rate",
    "training.lr_scheduler_type",
    "training.warmup_steps",
    "training.weight_decay",
    "training.max_grad_norm",
    "training.seed",
)
UNKNOWN_LICENSE = "other"
# What Ollama does not take in a model's name.
OLLAMA_NAME = re.compile(r"[^a-z0-9._-]+")


@dataclass(frozen=True)
class Sources:
    """The manifests that a card is written from."""

    context: Context
    report: ReleaseReport
    checks: Sequence[Check]
    base: BaseModel
    dataset: DatasetReport
    baseline: EvaluationReport
    evaluation: EvaluationReport
    gates: Mapping[str, GateFile]
    stats: Mapping[str, Any]
    license: str | None

    @property
    def names(self) -> ReleaseNames:
        """What the files of the release are called."""
        return naming.of(self.context.config)


def write(context: Context, report: ReleaseReport, checks: Sequence[Check]) -> str:
    """The text of the model card; `checks` are those of the release, with what was waived."""
    workspace, base = context.workspace, base_model.resolve(context)
    sources = Sources(
        context=context,
        report=report,
        checks=checks,
        base=base,
        dataset=artifacts.load(DatasetReport, workspace.dataset_report),
        baseline=artifacts.load(EvaluationReport, workspace.baseline_report),
        evaluation=artifacts.load(EvaluationReport, workspace.evaluation_report),
        gates=metadata.earlier_gates(context),
        stats=metadata.training_stats(context),
        license=base_license(base),
    )
    sections = (
        _front_matter,
        _title,
        _warnings,
        _results,
        _by_tool,
        _by_tag,
        _files,
        _running,
        _training,
        _data,
        _limits,
    )
    return "\n".join(line for section in sections for line in section(sources))


def base_license(base: BaseModel) -> str | None:
    """The licence that the base model's own card states, or None."""
    import yaml

    try:
        with open_regular((base.folder / "README.md").resolve()) as file:
            text = file.read().decode("utf-8", "replace")
    except DataError:
        return None
    if not text.startswith("---\n"):
        return None
    try:
        stated = yaml.safe_load(text[4:].partition("\n---")[0])
    except yaml.YAMLError:
        return None
    found = stated.get("license") if isinstance(stated, dict) else None
    return found if isinstance(found, str) else None


def _front_matter(sources: Sources) -> Iterator[str]:
    import yaml

    values: dict[str, Any] = {
        "license": sources.license or UNKNOWN_LICENSE,
        "library_name": "transformers" if _is_full(sources) else "peft",
        "pipeline_tag": "text-generation",
        "tags": [
            "full-finetuning" if _is_full(sources) else "lora",
            "unsloth",
            "gguf",
            "llama.cpp",
            "ollama",
        ],
    }
    if sources.base.revision is not None:  # a Hugging Face id; a folder means nothing elsewhere
        values["base_model"] = sources.base.name
    yield "---"
    yield yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip()
    yield "---"
    yield ""


def _title(sources: Sources) -> Iterator[str]:
    project = sources.context.config.project
    yield f"# {_text(project.name)} v{project.version}"
    yield ""
    if project.description:
        yield _text(project.description)
        yield ""
    base = sources.base
    revision = f" (revision `{base.revision}`)" if base.revision else ""
    of_base = f"of `{_text(base.name)}`{revision}"
    if _is_full(sources):
        yield f"A full fine-tune {of_base} (every weight was trained), in 16 bit and as GGUF."
    else:
        yield f"A LoRA fine-tune {of_base}, as an adapter, merged, and as GGUF."
    yield ""


def _is_full(sources: Sources) -> bool:
    return sources.report.method == "full"


def _passed(sources: Sources) -> str:
    """What every file is compared with."""
    return "evaluated model" if _is_full(sources) else "adapter"


def _warnings(sources: Sources) -> Iterator[str]:
    """Everything a person let pass, and every check that is closed: in bold, for ever."""
    waivers = [waiver for one in sources.gates.values() for waiver in one.waivers]
    waivers += [check.waived for check in sources.checks if check.waived]
    for waiver in waivers:
        yield f"> **Waived by a person: {_waiver(waiver)}**"
        yield ""
    for check in sources.checks:
        if check.closed:
            yield f"> **NOT VERIFIED: `{check.id}` is closed: {_text(check.why)}**"
            yield ""
        elif not check.passed:  # waived, or a warning
            yield f"> Note: `{check.id}`: {_text(check.why)}"
            yield ""


def _waiver(waiver: Waiver) -> str:
    return (
        f"`{waiver.check}` (value {waiver.value}, threshold {waiver.threshold}): "
        f"{_text(waiver.reason)}"
    )


def _results(sources: Sources) -> Iterator[str]:
    report, evaluation = sources.report, sources.evaluation
    measured = evaluation.metrics
    yield "## Results"
    yield ""
    yield (
        f"{measured.rows} held-out test rows ({measured.turns} assistant turns, of which "
        f"{measured.tool_turns} call tools), greedy decoding, the same rows for every column. "
        f"Deciding metric: {evaluation.metric} ({evaluation.metric_reason})."
    )
    yield ""
    columns: dict[str, Metrics] = {
        "base model": sources.baseline.metrics,
        "fine-tuned" if _is_full(sources) else "fine-tuned (adapter)": measured,
        "merged": report.merged.metrics,
        **{f"GGUF {name}": proof.metrics for name, proof in report.gguf.items()},
    }
    rows = []
    for metric, title in SHOWN:
        values = [getattr(metrics, metric) for metrics in columns.values()]
        if any(value is not None for value in values):
            change = _interval((evaluation.improvement or {}).get(metric))
            rows.append([title, *map(_number, values), change])
    rows.append(["rows", *(str(metrics.rows) for metrics in columns.values()), ""])
    confidence = sources.context.config.evaluation.confidence
    tuned = _passed(sources)
    yield from _table(["metric", *columns, f"{tuned} - base ({confidence:.0%} interval)"], rows)
    yield (
        "Intervals: paired bootstrap over the test rows. The loss of GGUF files is in the "
        "token-by-token comparison below."
    )
    yield ""


def _interval(found: Interval | None) -> str:
    return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})" if found else ""


def _by_tool(sources: Sources) -> Iterator[str]:
    if not sources.evaluation.per_tool:
        return
    yield "## By tool"
    yield ""
    yield from _groups("tool", sources.baseline.per_tool, sources.evaluation.per_tool)


def _by_tag(sources: Sources) -> Iterator[str]:
    for tag, groups in sources.evaluation.per_tag.items():
        yield f"## By {_text(tag)}"
        yield ""
        yield from _groups(tag, sources.baseline.per_tag.get(tag, {}), groups)


def _groups(
    title: str, before: Mapping[str, Metrics], after: Mapping[str, Metrics]
) -> Iterator[str]:
    metrics = [
        (metric, name)
        for metric, name in SHOWN[:6]
        if any(getattr(group, metric) is not None for group in after.values())
    ] or [("loss", "loss")]
    rows = []
    for key, group in after.items():
        old = before.get(key)
        cells = [
            f"{_number(getattr(old, metric, None))} -> {_number(getattr(group, metric))}"
            for metric, _name in metrics
        ]
        rows.append([_text(key), str(group.rows), *cells])
    yield from _table([_text(title), "rows", *(name for _metric, name in metrics)], rows)


def _files(sources: Sources) -> Iterator[str]:
    report = sources.report
    trained = "model" if _is_full(sources) else "adapter"
    yield "## Files, and how each was verified"
    yield ""
    yield (
        "`sha256sum -c SHA256SUMS` inside this folder checks every file. Each model file was "
        f"reloaded and compared with the {trained} that passed the evaluation "
        "(`verification.json` has everything)."
    )
    yield ""
    passed = _passed(sources)
    rows = []
    if sources.names.adapter is not None:
        sha256 = (report.weights.measured or {}).get("adapter_model.safetensors", "unknown")
        same = "byte for byte the evaluated one"
        rows.append([f"`{sources.names.adapter}/`", "", same, f"`{sha256[:16]}...`"])
    rows += [_file_row(proof, passed) for proof in (report.merged, *report.gguf.values())]
    yield from _table(["file", "size", f"answers as the {passed}", "next-token comparison"], rows)
    for name, proof in report.gguf.items():
        types = proof.tensors.types if proof.tensors else {}
        listed = ", ".join(f"{count} {kind}" for kind, count in types.items())
        yield f"- {name}: tensors {listed}"
    yield ""


def _file_row(proof: ModelProof, passed: str) -> list[str]:
    answers, parity = proof.answers, proof.parity
    same = f"{answers.equal_turns} of {answers.turns} word for word"
    if answers.adapter_rows_right is not None:
        same += f"; {answers.rows_right} rows right, {passed} {answers.adapter_rows_right}"
    compared = (
        f"{parity.positions} tokens: largest logit difference "
        f"{_number(parity.max_logit_difference)}, likeliest token equal "
        f"{_number(parity.top_token_agreement)}, KL {_number(parity.mean_kl_divergence, 6)}, loss "
        f"{_number(parity.loss, 4)} ({passed} {_number(parity.adapter_loss, 4)})"
    )
    return [f"`{proof.path}`", f"{proof.size / 1e6:.1f} MB", same, compared]


def _running(sources: Sources) -> Iterator[str]:
    report, context, names = sources.report, sources.context, sources.names
    first = next(iter(report.gguf.values()))
    ollama_name = OLLAMA_NAME.sub("-", naming.slug(context.config.project.name).lower())
    length = context.config.model.max_seq_length
    yield from f"""\
## How to run

Give it the system message and tools that it was trained with; the prompt is built by the chat
template that is in `{names.merged}/` and inside each GGUF.

With transformers (run inside this folder):

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{names.merged}")
model = AutoModelForCausalLM.from_pretrained("{names.merged}")
prompt = tokenizer.apply_chat_template(
    [{{"role": "user", "content": "Hello"}}],
    add_generation_prompt=True, return_tensors="pt", return_dict=True,
)
answer = model.generate(**prompt, max_new_tokens=64, do_sample=False)
print(tokenizer.decode(answer[0, prompt["input_ids"].shape[1]:]))
```

{_running_adapter(sources)}With llama.cpp:

```sh
llama-cli -m {first.path} --jinja --ctx-size {length} --temp 0
```

With Ollama ({report.ollama.reason}):

```sh
ollama create {ollama_name} -f Modelfile
ollama run {ollama_name}
```
""".splitlines()
    yield ""


def _running_adapter(sources: Sources) -> str:
    if sources.names.adapter is None:
        return ""
    return f"""\
The adapter alone, on the base model `{_text(sources.base.name)}`:

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("{_python_text(sources.base.name)}")
model = PeftModel.from_pretrained(base, "{sources.names.adapter}")
```

"""


def _training(sources: Sources) -> Iterator[str]:
    finetune = sources.gates["finetune"]
    yield "## Training"
    yield ""
    rows = [
        [name.replace("_", " "), _value(sources.stats[name])]
        for name in TRAINING_STATS
        if sources.stats.get(name) is not None
    ]
    rows += [
        [f"`{name}`", _value(finetune.settings[name])]
        for name in HYPERPARAMETERS
        if finetune.settings.get(name) is not None
        and not (_is_full(sources) and name.startswith("lora."))
    ]
    yield from _table(["", "value"], rows)
    if finetune.decisions:
        yield "Decided by the factory:"
        yield ""
        yield from _table(
            ["", "value", "because"],
            [
                [name.replace("_", " "), _value(decision.value), _text(decision.reason)]
                for name, decision in finetune.decisions.items()
            ],
        )
    versions = ", ".join(f"{name} {version}" for name, version in finetune.versions.items())
    yield f"Versions: {versions}."
    if finetune.git_commit:
        changed = ", with uncommitted changes" if finetune.git_dirty else ""
        yield f"Commit: `{finetune.git_commit}`{changed}."
    yield ""


def _data(sources: Sources) -> Iterator[str]:
    dataset = sources.dataset
    yield "## Data"
    yield ""
    yield (
        f"{dataset.read} rows read: {dataset.kept} kept, {dataset.rejected} rejected, "
        f"{dataset.duplicates} duplicates, {dataset.filtered} filtered out. "
        f"Rows in two splits: {sum(dataset.leakage.values())}."
    )
    yield ""
    yield from _table(
        ["split", "rows", "assistant turns", "tool calls", "sha256"],
        [
            [
                name,
                str(split.rows),
                str(split.turns),
                str(split.tool_calls),
                f"`{split.sha256[:16]}...`",
            ]
            for name, split in dataset.splits.items()
        ],
    )


def _limits(sources: Sources) -> Iterator[str]:
    config, report = sources.context.config, sources.report
    yield "## Limits"
    yield ""
    yield (
        f"- Measured on {sources.evaluation.metrics.rows} test rows that come from the same "
        "sources as the training rows; on other inputs nothing was measured."
    )
    yield (
        f"- Trained with at most {config.model.max_seq_length} tokens a row and measured with at "
        f"most {config.evaluation.max_new_tokens} new tokens, greedy."
    )
    cut = sources.evaluation.metrics.truncated
    if cut:
        yield f"- {cut} answers were cut off at that limit."
    yield f"- Tools in Ollama: {report.ollama.tools}."
    if sources.license is None:
        yield (
            "- The base model's folder states no licence; its terms apply to this model, too: "
            "find them out before you pass it on."
        )
    else:
        yield f"- The licence is the base model's: {_text(sources.license)}."
    yield ""


def _table(columns: list[str], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return _text(", ".join(map(str, value)))
    return f"{value:.4g}" if isinstance(value, float) else _text(str(value))


def _text(value: str) -> str:
    """Text from outside on one line, as text: no table cells, no HTML."""
    plain = " ".join(value.split())
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("`", "'")


def _python_text(value: str) -> str:
    """The inside of a Python string literal in double quotes."""
    return "".join(
        character if character.isalnum() or character in "-_./ " else f"\\U{ord(character):08x}"
        for character in value
    )
