"""Typed artifacts: what the JSON files under `.factory/gates/` and `metrics/` hold.

Every model forbids unknown fields and NaN; `load` turns a broken file into one clear error.
The JSON Schemas in `factory/schemas/` are generated from these models.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from factory import storage
from factory.errors import StaleInput

SCHEMA_VERSION = 1


class Artifact(BaseModel):
    """Base of everything the factory writes as JSON."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


ArtifactT = TypeVar("ArtifactT", bound=Artifact)


class FileRecord(Artifact):
    """One file as a stage read or wrote it.

    `sha256` and `size` are the proof. The rest identifies this very inode, so that the question
    "is my output still there?" need not hash a 60 GB model; it is never used to accept an input.
    """

    sha256: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


class Waiver(Artifact):
    """A person's word that a closed check may be passed; kept for ever."""

    check: str
    reason: str
    by: str
    at: str
    value: Any = None
    threshold: Any = None


class Check(Artifact):
    """One gate condition, judged."""

    id: str
    value: Any
    threshold: Any
    passed: bool
    why: str
    severity: Literal["error", "warning"] = "error"
    waived: Waiver | None = None

    @property
    def closed(self) -> bool:
        """Whether this check keeps the gate shut."""
        return self.severity == "error" and not self.passed and self.waived is None


class Decision(Artifact):
    """A choice the factory made for the user, with its reason."""

    value: Any
    reason: str


class GateFile(Artifact):
    """`.factory/gates/<stage>.json`: written last, the only record that a stage is done."""

    schema_version: int = SCHEMA_VERSION
    stage: str
    status: Literal["passed", "waived", "failed"]
    checks: list[Check]
    waivers: list[Waiver] = Field(default_factory=list)
    inputs: dict[str, FileRecord]
    outputs: dict[str, FileRecord]
    settings: dict[str, Any]
    settings_sha256: str
    thresholds: dict[str, Any]
    decisions: dict[str, Decision]
    revisions: dict[str, str | None]
    versions: dict[str, str]
    git_commit: str | None
    git_dirty: bool | None
    seed: int
    started_at: str
    ended_at: str
    machine: dict[str, Any]


class TokenLengths(Artifact):
    """Distribution of tokens per row, under the model's own template."""

    rows_counted: int
    total: int
    min: int
    mean: float
    p50: int
    p95: int
    max: int


class SplitReport(Artifact):
    """One split of the data set."""

    rows: int
    sha256: str
    turns: int
    tool_calls: int
    tokens: TokenLengths | None


class SourceReport(Artifact):
    """One input file: its detected format and what became of its rows."""

    format: str
    read: int
    kept: int
    rejected: int
    duplicates: int
    filtered: int = 0
    extra: int = 0
    splits: dict[str, int] = Field(default_factory=dict)


class MixReport(Artifact):
    """One source of the mix: the share asked for, null without a weight, and the rows it gave."""

    asked: float | None
    got: float = Field(description="Of the rows drawn; of the train rows once some are repeated.")
    rows: int = Field(description="Different rows drawn.")
    available: int
    repeats: int = Field(0, description="Train rows that are written again (upsample).")


class CutReport(Artifact):
    """What `dataset.excess_length` did to rows that were too long."""

    how: str = Field(description="truncate or split.")
    rows: int = Field(description="Rows that were cut.")
    pieces: int = Field(description="Rows in their place.")
    turns_removed: int = Field(description="Turns at the ends of truncated rows.")


class ScoreReport(Artifact):
    """Quality scores of some rows, 0 to 1; null where there is no row."""

    rows: int
    filtered: int
    mean: float | None
    p05: float | None
    p50: float | None


class QualityReport(Artifact):
    """What the rules of `factory.data.quality` say; a row's score is that of its worst rule."""

    all: ScoreReport
    sources: dict[str, ScoreReport]
    histogram: list[int] = Field(description="Rows by score, in ten bins of equal width.")
    worst: dict[str, int] = Field(description="Rule -> rows below 1 that it is the worst of.")
    rule_means: dict[str, float]


class PiiReport(Artifact):
    """Personal data and secrets by kind; `data/findings.jsonl` says where."""

    action: str = Field(description="report, mask or drop.")
    rows: int = Field(description="Rows with anything.")
    found: dict[str, int]
    rows_with: dict[str, int]


class DatasetReport(Artifact):
    """`metrics/dataset.json`. read + extra = kept + rejected + duplicates + filtered, always."""

    schema_version: int = SCHEMA_VERSION
    read: int
    extra: int = Field(0, description="Rows that splitting long rows added.")
    kept: int
    rejected: int
    duplicates: int
    filtered: int = 0
    repeated: int = Field(0, description="Train rows that are written again (upsample).")
    reject_reasons: dict[str, int]
    filter_reasons: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, SplitReport]
    sources: dict[str, SourceReport]
    mix: dict[str, MixReport] = Field(default_factory=dict)
    tools: dict[str, dict[str, int]] = Field(description="Calls of each tool, by split.")
    roles: dict[str, int]
    leakage: dict[str, int] = Field(description="Kind of leak -> rows found in two splits.")
    schema_checked: int = Field(description="Written rows that were read back and validated.")
    schema_violations: int
    contaminated: int = Field(0, description="Kept rows that repeat a benchmark.")
    findings: dict[str, int] = Field(default_factory=dict)
    cuts: CutReport | None = None
    quality: QualityReport | None = None
    pii: PiiReport | None = None
    warnings: list[str] = Field(default_factory=list)


class Metrics(Artifact):
    """What was measured over the test rows. A metric that does not apply is null, never 0."""

    rows: int
    turns: int
    tool_turns: int
    text_turns: int
    exact_match: float | None
    tool_accuracy: float | None
    parameter_precision: float | None
    parameter_recall: float | None
    parameter_f1: float | None
    text_match: float | None
    loss: float | None
    perplexity: float | None
    invalid_calls: int = Field(description="Generated turns whose tool call could not be parsed.")
    truncated: int = Field(description="Generated turns cut at max_new_tokens.")


class Protocol(Artifact):
    """Everything that must be equal for two reports to be comparable."""

    test_sha256: str
    chat_template_sha256: str
    tokenizer_sha256: str
    base_model: str
    base_revision: str | None
    base_sha256: str
    generation: dict[str, Any]
    scorer_version: int
    evaluated_ids_sha256: str


class Interval(Artifact):
    """Fine-tuned minus baseline, paired by row, with its bootstrap confidence interval."""

    mean: float
    low: float
    high: float
    confidence: float
    rows: int


class EvaluationReport(Artifact):
    """`metrics/baseline.json` and, with the last four fields, `metrics/evaluation.json`."""

    schema_version: int = SCHEMA_VERSION
    protocol: Protocol
    engine: str
    model: str
    metrics: Metrics
    per_tool: dict[str, Metrics]
    per_tag: dict[str, dict[str, Metrics]]
    prompts_tokenized_differently: int = 0
    predictions: str
    predictions_sha256: str
    weights_sha256: dict[str, str] | None = Field(
        None, description="Of the fine-tuned weights: file name -> sha256."
    )
    baseline: Metrics | None = None
    improvement: dict[str, Interval] | None = None
    metric: str | None = None
    metric_reason: str | None = None


class TrainingStatus(Artifact):
    """`.factory/training-status.json`, replaced as a whole while a training runs.

    Written by the standalone script (`training/templates/training_state.py`), which cannot import
    this: the model is what the schema is published from. Times are UTC; unknown is null.
    """

    running: bool = Field(description="As the process last said; it may have died since.")
    phase: Literal[
        "starting",
        "loading_model",
        "loading_dataset",
        "checking_mask",
        "training",
        "saving_lora",
        "saving_merged",
        "saving_gguf",
        "completed",
        "failed",
        "interrupted",
    ]
    step: int = Field(ge=0)
    total_steps: int | None
    epoch: float | None
    total_epochs: float | None
    progress_percent: float = Field(ge=0, le=100)
    eta_seconds: float | None
    loss: float | None
    eval_loss: float | None
    learning_rate: float | None
    grad_norm: float | None
    tokens_seen: int | None
    tokens_per_second: float | None
    memory_gb: float | None = Field(description="GiB: of the GPU, or resident memory on a CPU.")
    peak_memory_gb: float
    device: str | None
    started_at: str
    last_updated: str
    heartbeat_at: str
    checkpoint_at: str | None
    completed_at: str | None
    error: str | None
    warnings: list[str]
    run_id: str = Field(description="Hash of all settings: equal for runs that may go on.")
    attempt: int = Field(ge=1)
    pid: int
    boot_id: str | None = Field(description="The boot on which the pid means something.")


def load(kind: type[ArtifactT], path: Path) -> ArtifactT:
    """Read one artifact; StaleInput if it is there but is not what the factory writes."""
    try:
        return kind.model_validate(storage.read_json(path))
    except (ValidationError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        detail = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise StaleInput(
            f"not a valid {kind.__name__} ({detail})",
            where=str(path),
            hint="run the stage that writes it again",
        ) from None


def save(artifact: Artifact, path: Path) -> None:
    """Write one artifact atomically."""
    storage.write_json(path, artifact.model_dump(mode="json"))
