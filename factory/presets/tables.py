"""The tables of a presets file: hardware, experts, lora, hyperparameters, datasets, presets.

Field names are those of the seeds' training.toml, so such a file works unchanged as a workspace's
presets.toml. Each model says what its table adds to the configuration: `values()` returns plain
values by section and field.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from factory.config import Expert, Lora, Model, Section, Source, Training

Values = dict[str, Any]

# What the seeds call a hyperparameter -> its name in the `training` section.
HYPERPARAMETERS = {
    "num_epochs": "num_train_epochs",
    "batch_size": "per_device_train_batch_size",
    "gradient_accumulation": "gradient_accumulation_steps",
    "lr_scheduler": "lr_scheduler_type",
}


class Hardware(Section):
    """A machine profile: its limits, and what it recommends."""

    name: str
    device: Literal["cuda", "rocm", "mps", "cpu"]
    available_memory_gb: float = Field(gt=0, description="GB (10^9 bytes) that a run may use.")
    max_batch_size: int = Field(ge=1)
    max_sequence_length: int = Field(ge=16)
    supports_fp16: bool
    supports_bf16: bool
    supports_gradient_checkpointing: bool
    max_lora_rank: int = Field(ge=1)
    recommended_gradient_accumulation: int = Field(1, ge=1)
    status: str = Field("available", description="`unsupported...`: presets on it are refused.")
    cost_per_hour: float | None = Field(None, ge=0, description="US dollars; shown only.")
    python_path: str | None = Field(None, description="Shown only: commands use this Python.")
    notes: str = ""

    def values(self) -> Values:
        """Defaults that this machine can run; a limit forbids, it never forces.

        bf16, fp16 and checkpointing stay undecided where they are supported: the machine that
        really trains decides then.
        """
        default_batch = Training().per_device_train_batch_size
        training: Values = {
            "gradient_accumulation_steps": self.recommended_gradient_accumulation,
            "per_device_train_batch_size": min(default_batch, self.max_batch_size),
        }
        lora: Values = {"r": min(Lora().r, self.max_lora_rank)}
        length = min(Model().max_seq_length, self.max_sequence_length)
        if not self.supports_bf16:
            training["bf16"] = False
        if not self.supports_fp16:
            training["fp16"] = False
        if not self.supports_gradient_checkpointing:
            lora["use_gradient_checkpointing"] = False
        return {"training": training, "lora": lora, "model": {"max_seq_length": length}}


class ExpertProfile(Expert):
    """Who the model is, on which base, and how good it has to be."""

    base_model: str = Field(min_length=1)
    context_window: int | None = Field(None, ge=16, description="Tokens the base model can take.")
    targets: dict[str, float] = Field(
        default_factory=dict, description="Gates: metric -> least value on the test rows."
    )
    prompt_template: str = Field("", description="Text around Alpaca rows.")
    notes: str = ""

    def values(self) -> Values:
        """The base model, the expert's own words also for its rows, and its targets as gates."""
        said = self.model_dump(exclude_unset=True, include=set(Expert.model_fields))
        values: Values = {"model": {"name": self.base_model}, "expert": said}
        dataset = {
            "prompt_template": self.prompt_template,
            "system_prompt": self.system_prompt.strip(),
        }
        if given := {name: text for name, text in dataset.items() if text}:
            values["dataset"] = given
        if self.targets:
            values["evaluation"] = {"targets": self.targets}
        return values


class DatasetProfile(Source):
    """Raw examples, with their split files if they come split, and how they are to be read."""

    description: str = ""
    train_split: str | None = None
    val_split: str | None = None
    test_split: str | None = None
    quality_threshold: float | None = Field(None, ge=0, le=1)
    notes: str = ""

    @model_validator(mode="after")
    def _splits_lie_in_one_folder(self) -> DatasetProfile:
        if self.name is not None:
            raise ValueError("a data set has the name of its table")
        if self._split_files() and not isinstance(self.path, str):
            raise ValueError("split files lie in the folder that path names")
        return self

    def _split_files(self) -> list[str]:
        return [name for name in (self.train_split, self.val_split, self.test_split) if name]

    def source(self) -> Values:
        """The data set as one source; split files are recognised by their names."""
        table = self.model_dump(mode="json", include=set(Source.model_fields), exclude_unset=True)
        if splits := self._split_files():
            table["path"] = [f"{str(self.path).rstrip('/')}/{name}" for name in splits]
        if self.quality_threshold is not None:
            table.setdefault("min_quality", self.quality_threshold)
        return table

    def values(self) -> Values:
        """The data set as the only source; its limits hold for all rows."""
        table = self.source()
        dataset = {key: table.pop(key) for key in ("min_quality", "domains") if table.get(key)}
        plain = table.keys() == {"path"}
        dataset["sources"] = Source(**table).paths if plain else [table]
        return {"dataset": dataset}


class Preset(Section):
    """A combination: one of each table, and values of its own; or a list of presets.

    The presets of a `sequence` run one after the other; of those `by_memory` one is picked.
    """

    description: str = ""
    expert: str | None = None
    hardware: str | None = None
    dataset: str | None = None
    lora: str | None = None
    hyperparameters: str | None = None
    sequence_length: int | None = Field(None, ge=16)
    batch_size: int | None = Field(None, ge=1)
    gradient_accumulation: int | None = Field(None, ge=1)
    config: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Values of any section of the configuration."
    )
    sequence: list[str] = Field(
        default_factory=list, description="Presets that are run one after the other."
    )
    by_memory: list[str] = Field(
        default_factory=list, description="Presets of which the machine's memory picks one."
    )
    notes: str = ""

    @model_validator(mode="after")
    def _list_stands_alone(self) -> Preset:
        for kind in ("sequence", "by_memory"):
            others = self.model_fields_set - {"description", "notes", kind}
            if getattr(self, kind) and others:
                raise ValueError(f"a {kind} has no {', '.join(sorted(others))} of its own")
        return self

    @property
    def listed(self) -> list[str]:
        """The presets that this one stands for; empty if it is one itself."""
        return self.sequence or self.by_memory

    def values(self) -> Values:
        """The preset's own values, above those of the tables it names."""
        values: Values = {name: dict(section) for name, section in self.config.items()}
        if self.sequence_length is not None:
            values.setdefault("model", {})["max_seq_length"] = self.sequence_length
        training = {
            "per_device_train_batch_size": self.batch_size,
            "gradient_accumulation_steps": self.gradient_accumulation,
        }
        given = {name: value for name, value in training.items() if value is not None}
        if given:
            values["training"] = given | values.get("training", {})
        return values


def hyperparameter_values(table: Values) -> Values:
    """A `[hyperparameters.*]` table in the names of the `training` section."""
    values = {HYPERPARAMETERS.get(name, name): value for name, value in table.items()}
    strategy = values.pop("eval_strategy", None)
    if strategy == "no":
        values["eval_steps"] = 0
    elif strategy == "epoch":
        values["eval_steps"] = None
    elif strategy not in (None, "steps"):
        raise ValueError(f"eval_strategy is one of no, steps, epoch (got {strategy!r})")
    return {"training": values}
