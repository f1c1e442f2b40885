"""training-config.json: every field, every default, and the errors for what is wrong in it.

This is the only place that states a default. A section is a pydantic model with `extra="forbid"`;
a field marked `gate()` is a threshold: changing it re-judges a stage without running it again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from factory import naming
from factory.data import mapping, prompt
from factory.errors import ConfigError, did_you_mean
from factory.workspace import CONFIG_NAME

FIELDS_HINT = "python -m factory schema lists the fields"
HUB_PREFIX = "hf:"
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$", re.ASCII)
Optimizer = Literal[
    "adamw_8bit",
    "paged_adamw_8bit",
    "paged_adamw_32bit",
    "lion_8bit",
    "adamw_torch",
    "adamw_torch_fused",
    "adafactor",
    "sgd",
]
Quantization = Literal["f16", "bf16", "q8_0", "q5_k_m", "q4_k_m"]


def gate(default: Any, **constraints: Any) -> Any:
    """A field that only judges results: it is a threshold, not an input of the stage's work."""
    return Field(default, json_schema_extra={"gate": True}, **constraints)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Section(BaseModel):
    """A configuration section: unknown keys and NaN are errors.

    `aliases` are names that older configurations and other tools use for a field.
    """

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, validate_assignment=True, protected_namespaces=()
    )
    aliases: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _rename_aliases(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        renamed = dict(values)
        for alias, name in cls.aliases.items():
            if alias in renamed:
                if name in renamed:
                    raise ValueError(f"{alias!r} is another name of {name!r}: give one of them")
                renamed[name] = renamed.pop(alias)
        return renamed


class Project(Section):
    """Who the model is for; names the release."""

    name: str = Field(
        "my-model",
        min_length=1,
        max_length=200,
        description="Names the release folder and the GGUF files.",
    )
    version: str = Field(
        "0.1.0", pattern=r"^\d+\.\d+\.\d+$", description="Of the release: MAJOR.MINOR.PATCH."
    )
    description: str = Field("", description="What the model is for; opens the model card.")
    allowed_paths: list[str] = Field(
        default_factory=list,
        description="Folders outside the workspace that this configuration may read.",
    )
    base_name: str | None = Field(
        None,
        min_length=1,
        max_length=80,
        description="What {base} stands for; null: the last part of model.name.",
    )
    release_name: str = Field(
        "{project}-v{version}",
        description="Names a release, from {project}, {base}, {version} and, for each artifact, "
        "{suffix} (lora, merged, q4km, q8, f16, ...).",
    )

    @field_validator("release_name")
    @classmethod
    def _release_name_is_usable(cls, template: str) -> str:
        return naming.checked(template)


class Model(Section):
    """The base model: a folder in the workspace or a Hugging Face model id."""

    name: str = Field(
        "models/base",
        min_length=1,
        description="A folder of the workspace, or OWNER/NAME on Hugging Face.",
    )
    revision: str | None = Field(None, description="Commit of a Hugging Face model id.")
    max_seq_length: int = Field(
        2048, ge=16, description="Tokens of the longest row; longer ones are filtered out."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = Field(
        None, description="Of the weights in training; null or auto: decided by the hardware."
    )
    load_in_4bit: bool = Field(False, description="QLoRA: frozen weights in nf4 (needs a GPU).")
    full_finetuning: bool = Field(False, description="Train every weight instead of an adapter.")
    attn_implementation: Literal["eager", "sdpa", "flash_attention_2"] | None = Field(
        None, description="null: decided by the hardware."
    )


class Lora(Section):
    """LoRA adapter, in PEFT's names."""

    aliases = {"rank": "r", "alpha": "lora_alpha", "dropout": "lora_dropout"}

    r: int = Field(16, ge=1, description="Rank of the adapter.")
    lora_alpha: int = Field(
        32, ge=1, description="The adapter's output is scaled by lora_alpha / r."
    )
    lora_dropout: float = Field(
        0.0, ge=0, lt=1, description="Share of the adapter's inputs that is dropped in training."
    )
    target_modules: list[str] | Literal["all-linear"] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        description="Layers that get an adapter.",
    )
    modules_to_save: list[str] = Field(
        default_factory=list, description="Trained in full beside the adapter, e.g. embed_tokens."
    )
    bias: Literal["none", "all", "lora_only"] = Field(
        "none", description="Which bias terms are trained."
    )
    use_gradient_checkpointing: bool | Literal["unsloth"] | None = Field(
        None, description="null: decided by the hardware."
    )
    random_state: int = Field(3407, description="Seed of the adapter's start.")
    use_rslora: bool = Field(False, description="Scale by lora_alpha / sqrt(r).")
    use_dora: bool = Field(False, description="Weight-decomposed LoRA.")
    finetune_vision_layers: bool = Field(False, description="Refused: only text is trained here.")
    finetune_language_layers: bool = Field(
        True, description="Refused if false: nothing would be left to train."
    )
    finetune_attention_modules: bool = Field(True, description="Adapters in attention layers.")
    finetune_mlp_modules: bool = Field(True, description="Adapters in feed-forward layers.")


class Training(Section):
    """The SFT run, in the names of transformers' TrainingArguments."""

    aliases = {
        "batch_size": "per_device_train_batch_size",
        "epochs": "num_train_epochs",
        "warmup_ratio": "warmup_steps",
        "lr": "learning_rate",
    }

    per_device_train_batch_size: int = Field(2, ge=1, description="Rows in one pass.")
    gradient_accumulation_steps: int = Field(4, ge=1, description="Passes in one optimizer step.")
    per_device_eval_batch_size: int | None = Field(None, ge=1, description="null: as in training.")
    warmup_steps: float = Field(5, ge=0, description="Below 1: a share of all steps.")
    max_steps: int | None = Field(None, ge=1, description="null: train by epochs.")
    num_train_epochs: float = Field(
        3, gt=0, description="Passes over the train rows, unless max_steps is set."
    )
    learning_rate: float = Field(2e-4, gt=0, description="Peak of the schedule.")
    embedding_learning_rate: float | None = Field(
        None, gt=0, description="For embed_tokens and lm_head, if they are trained."
    )
    fp16: bool | None = Field(None, description="null: decided by the hardware.")
    bf16: bool | None = Field(None, description="null: decided by the hardware.")
    tf32: bool | None = Field(
        None, description="Float32 products in TensorFloat-32 (Ampere or newer); null: torch's own."
    )
    logging_steps: int = Field(
        1, ge=1, description="Steps between entries of status, history and curve."
    )
    save_steps: int = Field(50, ge=1, description="Steps between checkpoints.")
    save_total_limit: int = Field(3, ge=2, description="Two, so that one may be damaged.")
    eval_steps: int | None = Field(
        None, ge=0, description="null: at the end of each epoch; 0: never."
    )
    load_best_model_at_end: bool = Field(False, description="Keep the lowest validation loss.")
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Evaluations without improvement before training stops."
    )
    early_stopping_threshold: float = Field(
        0.0, ge=0, description="Least fall of the validation loss that counts."
    )
    optim: Optimizer = Field(
        "adamw_8bit", description="On a CPU, 8-bit and paged AdamW become adamw_torch_fused."
    )
    weight_decay: float = Field(0.01, ge=0, description="AdamW's.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this norm.")
    lr_scheduler_type: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
    ] = Field("linear", description="Course of the learning rate after the warm-up.")
    neftune_noise_alpha: float | None = Field(
        None, gt=0, description="Noise on embeddings (NEFTune); null: none."
    )
    packing: bool = Field(False, description="Several rows in one sequence (needs a GPU).")
    group_by_length: bool = Field(True, description="Batches of rows of similar length.")
    over_length: Literal["drop", "truncate", "raise"] = Field(
        "drop", description="Rows longer than model.max_seq_length."
    )
    divergence_factor: float = Field(
        3.0, gt=1, description="A mean loss above this multiple of the least one has diverged."
    )
    divergence_window: int = Field(20, ge=1, description="Logged steps the loss is averaged over.")
    stop_on_divergence: bool = Field(False, description="End a diverging run; otherwise it warns.")
    allow_shorter_sequences: bool = Field(
        False, description="Out of memory at micro-batch 1: halve model.max_seq_length."
    )
    seed: int = Field(3407, ge=0, description="Order of the rows, and dropout.")
    num_threads: int | None = Field(None, ge=1, description="null: by the size of the model.")
    num_processes: int = Field(
        1, ge=1, description="One for each GPU of this host; each takes its own micro-batch."
    )
    output_dir: str = Field("models/checkpoints/trainer", description="Checkpoints to go on from.")
    min_loss_decrease: float = gate(
        0.0, ge=0, lt=1, description="Share by which the loss has to fall from start to end."
    )


_Path = Annotated[str, Field(min_length=1)]


class Source(Section):
    """Raw examples of one place, and how they are to be read."""

    path: _Path | list[_Path] | None = Field(
        None,
        description="A file, a folder or a pattern, or several; or a dataset_info.json, or an "
        "Axolotl YAML.",
    )
    name: str | None = Field(
        None, min_length=1, description="Of a [datasets.*] table of the presets."
    )
    entries: list[str] = Field(
        default_factory=list,
        description="Which data sets of a dataset_info.json; without any: all.",
    )
    hub: str | None = Field(
        None, pattern=HUB_ID.pattern, description="OWNER/NAME of a Hugging Face data set."
    )
    revision: str | None = Field(
        None, min_length=1, description="Its branch, tag or commit; null: main, once for all."
    )
    subset: str | None = Field(None, min_length=1, description="Its configuration; null: default.")
    split: str | None = Field(None, min_length=1, description="One of its splits; null: all.")
    data_files: Annotated[list[str], BeforeValidator(_as_list)] = Field(
        default_factory=list, description="Files of it, or patterns, instead of its own choice."
    )
    format: str | None = Field(None, description="The row format; null: dataset.format.")
    columns: dict[mapping.Column, Annotated[str, Field(min_length=1)] | None] = Field(
        default_factory=dict,
        description="Where the source keeps what: our name -> its column; null: not read.",
    )
    roles: dict[mapping.RoleName, Annotated[list[str], BeforeValidator(_as_list)]] = Field(
        default_factory=dict,
        description="Who speaks: our name -> the role names of the source.",
    )
    min_quality: float | None = Field(None, ge=0, le=1, description="Instead of the data set's.")
    domains: list[str] = Field(default_factory=list, description="Instead of the data set's.")

    @model_validator(mode="after")
    def _says_where(self) -> Source:
        if self.name and not self.path and not self.hub:
            raise ValueError("a name alone is looked up where a configuration is loaded")
        if bool(self.path) == bool(self.hub):
            raise ValueError("it needs one of path, hub and name")
        return self

    @model_validator(mode="after")
    def _fields_belong_together(self) -> Source:
        of_hub = [n for n in ("revision", "subset", "split", "data_files") if getattr(self, n)]
        if of_hub and self.hub is None:
            raise ValueError(f"{of_hub[0]} goes with hub, not with path")
        if self.entries and not (isinstance(self.path, str) and self.path.endswith(".json")):
            raise ValueError("entries goes with the path of a dataset_info.json")
        mapping.of(self.columns, self.roles, self.format)
        return self

    @model_serializer(mode="wrap")
    def _only_what_is_said(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without what is left at its default: a source is a few fields of many."""
        return {
            name: value
            for name, value in dump(self).items()
            if value != type(self).model_fields[name].get_default(call_default_factory=True)
        }

    @property
    def paths(self) -> list[str]:
        """Its paths; none if it is on the hub."""
        return [self.path] if isinstance(self.path, str) else self.path or []

    @property
    def label(self) -> str:
        """What reports call it."""
        parts = (f"{HUB_PREFIX}{self.hub}", self.subset, self.split)
        return self.name or ", ".join(self.paths) or "/".join(part for part in parts if part)


class Mixed(Source):
    """One source of a mix: its share by weight, or a number of rows."""

    weight: float | None = Field(None, gt=0, description="Its share, in any unit.")
    max_samples: int | None = Field(None, ge=1, description="Different rows to take at most.")
    upsample: bool = Field(
        False, description="Repeat its train rows where they are too few for its share."
    )

    @model_validator(mode="after")
    def _repeats_for_a_share(self) -> Mixed:
        if self.upsample and self.weight is None:
            raise ValueError("upsample needs a weight: rows are repeated to meet a share")
        return self


def source_of(source: str | Source) -> Source:
    """A source that is given as a path, or as `hf:OWNER/NAME` with `@REVISION` or not."""
    if isinstance(source, Source):
        return source
    if not source.startswith(HUB_PREFIX):
        return Source(path=source)
    name, _, revision = source.removeprefix(HUB_PREFIX).partition("@")
    return Source(hub=name, revision=revision or None)


def _checked_text(source: str) -> str:
    name = source.removeprefix(HUB_PREFIX).partition("@")[0]
    if source.startswith(HUB_PREFIX) and not HUB_ID.match(name):
        raise ValueError("hf:OWNER/NAME or hf:OWNER/NAME@REVISION")
    return source


# Either a path or a table; errors are told of the one that was meant.
_TEXT, _TABLE = "a text", "a table"
AnySource = Annotated[
    Annotated[str, Field(min_length=1), AfterValidator(_checked_text), Tag(_TEXT)]
    | Annotated[Source, Tag(_TABLE)],
    Discriminator(lambda value: _TEXT if isinstance(value, str) else _TABLE),
]


class SemanticDedup(Section):
    """Rows that mean almost the same as an earlier one are left out."""

    model: str = Field(min_length=1, description="Folder of a model2vec sentence-embedding model.")
    threshold: float = Field(0.95, gt=0, le=1, description="Cosine of the embeddings.")


class Dataset(Section):
    """Raw examples in, splits out."""

    sources: Annotated[list[AnySource], BeforeValidator(_as_list)] = Field(
        default=["data/raw"],
        description="Files, folders, hf:OWNER/NAME, or tables that say how to read them.",
    )
    mix: list[Mixed] = Field(
        default_factory=list,
        description="Sources by weight, instead of dataset.sources; no row is drawn twice "
        "unless a source says upsample.",
    )
    format: str = Field("auto", description="The row format of all sources, or auto.")
    system_prompt: str = Field(
        "", description="The system turn of rows that have none; empty: they get none."
    )
    prompt_template: str = Field(
        "",
        description="Text around Alpaca rows, with {instruction}, {input_section}, {context} and, "
        "at its end, {output}.",
    )
    min_quality: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Rows that give a lower quality_score are rejected, rows that the rules score "
        "lower are filtered.",
    )
    quality_rules: bool | None = Field(
        None, description="Score answers by rules; null: where there is a min_quality."
    )
    domains: list[str] = Field(
        default_factory=list, description="Rows that give a domain other than these are rejected."
    )
    path: str = Field("data/splits/train.jsonl", description="The train split.")
    validation_path: str = Field("data/splits/val.jsonl", description="The validation split.")
    test_path: str = Field("data/splits/test.jsonl", description="The test split.")
    chat_template: str | None = Field(
        None,
        description="null: the model's own template. Or gemma-3, llama-3, llama-3.1, mistral, "
        "chatml, qwen-2.5, qwen-3, phi-4, zephyr, alpaca. Or a .jinja file of the workspace.",
    )
    near_duplicates: Literal["off", "together", "drop"] = Field(
        "off", description="Rows of almost the same words: keep in one split, or drop the later."
    )
    near_duplicate_threshold: float = Field(
        0.7, gt=0, le=1, description="Jaccard similarity of word 3-grams."
    )
    semantic_dedup: SemanticDedup | None = Field(
        None, description="Leave out rows that mean almost the same (needs the extra semantic)."
    )
    decontaminate: list[str] = Field(
        default_factory=list, description="Benchmark files that no row may repeat."
    )
    contamination: Literal["drop", "report"] = Field(
        "drop", description="A row that repeats a benchmark: leave it out, or close the gate."
    )
    excess_length: Literal["drop", "truncate", "split", "error"] = Field(
        "drop",
        description="A row longer than model.max_seq_length: leave it out, leave out turns at its "
        "end, make several rows of it, or stop. No turn is ever cut.",
    )
    exact_tokens: bool = Field(
        False, description="Count the tokens of every row, not of a sample, for the statistics."
    )
    special_tokens: Literal["neutralise", "reject", "keep"] = Field(
        "neutralise", description="Special tokens of the model inside the text of a row."
    )
    pii: Literal["off", "report", "mask", "drop"] = Field(
        "off",
        description="Personal data and secrets in texts: list them, put their kind in their place, "
        "or leave their rows out (needs the extra pii).",
    )
    pii_region: str | None = Field(
        None,
        description="Country whose national phone numbers are meant, such as US; null: only "
        "numbers with + and a country code are found.",
    )
    reasoning: Literal["auto", "field", "inline", "keep"] = Field(
        "auto",
        description="Thoughts before an answer: in reasoning_content, in its text as <think>, as "
        "the rows have them; auto: where the chat template renders them, the field first.",
    )
    num_proc: int | None = Field(None, ge=1, description="null: as many as the cores.")
    split_ratios: tuple[float, float, float] = Field(
        (0.8, 0.1, 0.1), description="Train, validation, test, where rows do not say it themselves."
    )
    seed: int = Field(3407, ge=0, description="Of the split.")
    min_samples: int = gate(100, ge=1, description="Rows to keep at least.")
    recommended_samples: int = gate(1000, ge=1, description="Fewer rows kept: a warning.")
    max_rejected_share: float = gate(0.5, ge=0, le=1, description="Rejected rows / rows read.")
    max_line_bytes: int = Field(
        16 * 1024 * 1024, ge=1024, description="A longer line is rejected unread."
    )

    def entries(self) -> list[Source]:
        """The sources, or what the mix consists of, as tables."""
        if self.mix:
            return list(self.mix)
        return [source_of(source) for source in self.sources]

    def min_quality_of(self, entry: Source) -> float | None:
        """The least quality of the rows of one entry."""
        return self.min_quality if entry.min_quality is None else entry.min_quality

    def workers(self) -> int:
        """Most processes to work with: as configured, or the cores."""
        return self.num_proc or len(os.sched_getaffinity(0))

    @field_validator("split_ratios")
    @classmethod
    def _ratios_are_shares(cls, ratios: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(ratios) < 0 or ratios[0] == 0:
            raise ValueError("a share is not negative, and train has one")
        if abs(sum(ratios) - 1) > 1e-6:
            raise ValueError(f"train, validation and test add up to 1, not {sum(ratios):g}")
        return ratios

    @field_validator("prompt_template")
    @classmethod
    def _template_is_complete(cls, template: str) -> str:
        return prompt.checked(template)


class Evaluation(Section):
    """How baseline and fine-tuned model are measured, and what opens the gate to export."""

    metric: Literal[
        "auto", "exact_match", "tool_accuracy", "parameter_f1", "text_match", "loss"
    ] = gate(
        "auto", description="auto: exact_match where rows call tools or have an answer, else loss."
    )
    min_improvement: float = gate(
        0.0, description="The whole interval has to be on the better side of it."
    )
    targets: dict[
        Literal["exact_match", "tool_accuracy", "parameter_f1", "text_match"],
        Annotated[float, Field(ge=0, le=1)],
    ] = gate({}, description="Least values of the fine-tuned model on the test rows.")
    min_rows: int = gate(20, ge=1, description="Fewer test rows than this prove nothing.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Of the interval.")
    bootstrap_samples: int = Field(10_000, ge=100, description="Times the rows are drawn anew.")
    max_new_tokens: int = Field(
        256, ge=1, description="Of one answer; longer ones are cut and counted."
    )
    batch_size: int = Field(32, ge=1, description="Rows answered at once.")
    max_samples: int | None = Field(None, ge=1, description="A seeded sample of the test rows.")
    turns: Literal["all", "last"] = Field("all", description="Assistant turns asked of each row.")
    answer_pattern: str | None = Field(
        None, description="Regular expression whose group 1 is the answer in a text turn."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Of the weights while measuring."
    )
    seed: int = Field(3407, ge=0, description="Of the bootstrap and of max_samples.")


class Save(Section):
    """What training leaves behind and what is released."""

    lora_path: str = Field("models/checkpoints/lora", description="Where the adapter goes.")
    merged_path: str = Field(
        "models/checkpoints/merged", description="Where the merged 16-bit model goes."
    )
    gguf_path: str = Field("models/quantized", description="Where GGUF files go.")
    gguf_quantization: Annotated[
        list[Annotated[Quantization, BeforeValidator(_lower)]], BeforeValidator(_as_list)
    ] = Field(default=["q8_0"], min_length=1, description="One GGUF file for each.")
    max_gguf_row_difference: int = gate(
        1, ge=0, description="Test rows by which a GGUF may score below the adapter."
    )
    push_to_hub: bool = Field(
        False, description="Upload the release when its gate is open; needs HF_TOKEN."
    )
    hub_model_id: str | None = Field(None, description="OWNER/NAME to upload to.")


class Tracking(Section):
    """Where training curves go besides the status file."""

    report_to: list[Literal["tensorboard", "wandb", "trackio", "mlflow"]] | None = Field(
        None, description="Trackers, each with its package. null: tensorboard, if it is installed."
    )
    run_name: str | None = Field(None, description="How trackers call the run.")


class Wandb(Section):
    """A switch for Weights & Biases, beside what tracking.report_to names."""

    enabled: bool = Field(False, description="Report to Weights & Biases.")
    project: str | None = Field(None, description="null: project.name.")
    run_name: str | None = Field(None, description="Used if tracking.run_name is null.")


class Expert(Section):
    """Who the model is to be; recorded with the adapter and in the release."""

    display_name: str = Field("", description="For people.")
    role: str = Field("", description="In a word or two.")
    group: str = Field("", description="Experts of one family.")
    specialization: str = Field("", description="What it does best.")
    system_prompt: str = Field("", description="The words the expert is addressed with.")
    focus_tools: list[str] = Field(
        default_factory=list, description="The tools this expert is for."
    )


class Config(Section):
    """The whole of training-config.json."""

    schema_: str | None = Field(None, alias="$schema", description="For editors; ignored.")
    preset: str | None = Field(None, description="A preset that everything here is laid on.")
    hardware: str | None = Field(
        None,
        description="The hardware profile that this is for; null: the preset's, and for a preset "
        "that is picked by memory the GPU here.",
    )
    fit: bool = Field(False, description="Lower what the hardware profile does not allow.")
    project: Project = Project()
    expert: Expert = Expert()
    model: Model = Model()
    lora: Lora = Lora()
    training: Training = Training()
    dataset: Dataset = Dataset()
    evaluation: Evaluation = Evaluation()
    save: Save = Save()
    tracking: Tracking = Tracking()
    wandb: Wandb = Wandb()


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of training-config.json."""
    schema = Config.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def validate(values: dict[str, Any], *, where: str = CONFIG_NAME) -> Config:
    """Turn plain values into a Config; ConfigError lists every fault, one a line."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        faults = [explain(fault) for fault in error.errors()]
    raise ConfigError("; ".join(faults), where=where, hint=FIELDS_HINT)


def explain(fault: Any, root: type[BaseModel] = Config) -> str:
    """One pydantic fault of a `root` model as a sentence with the nearest right name."""
    location = tuple(part for part in fault["loc"] if part not in (_TEXT, _TABLE))
    place = ".".join(str(part) for part in location)
    if fault["type"] == "extra_forbidden":
        *section, name = location
        return f"{place}: unknown field{did_you_mean(str(name), _siblings(root, section))}"
    if fault["type"] == "missing":
        return f"{place}: is needed"
    if location[-1:] == ("[key]",):  # of a table whose names are known
        *_, name, _ = location
        known = re.findall(r"'(\w+)'", fault["ctx"]["expected"])
        told = did_you_mean(str(name), known) or f"; one of {', '.join(known)}"
        return f"{place.removesuffix('.[key]')}: unknown name{told}"
    if fault["type"] == "model_type":
        return f"{place}: is a section, with fields of its own (got {fault['input']!r:.60})"
    given = repr(fault["input"])
    given = given if len(given) <= 60 else given[:57] + "..."
    return f"{place}: {fault['msg'].removeprefix('Value error, ')} (got {given})"


def _siblings(root: type[BaseModel], location: Sequence[Any]) -> list[str]:
    """The field names of the section at `location`; a number is a place in a list of sections."""
    section = root
    for part in location:
        if part in section.model_fields:
            section = _section_in(section.model_fields[part].annotation) or root
    return list(section.model_fields)


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The section that a field is, or is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section_in(inner) for inner in get_args(annotation))
    return next((section for section in found if section), None)


def thresholds(config: Config, section: str) -> dict[str, Any]:
    """The gate fields of one section, by dotted name."""
    return {
        f"{section}.{name}": value
        for name, value in getattr(config, section).model_dump(mode="json").items()
        if _is_gate(type(getattr(config, section)).model_fields[name])
    }


def settings(config: Config, *names: str) -> dict[str, Any]:
    """The work-relevant values of sections (`lora`) or single fields (`model.name`), by name."""
    found: dict[str, Any] = {}
    for name in names:
        section_name, _, field = name.partition(".")
        section = getattr(config, section_name)
        for key, value in section.model_dump(mode="json").items():
            if field in ("", key) and not _is_gate(type(section).model_fields[key]):
                found[f"{section_name}.{key}"] = value
    return found


def _is_gate(field: FieldInfo) -> bool:
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("gate"))
