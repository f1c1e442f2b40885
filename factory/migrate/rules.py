"""The rules that move one value of another tool's configuration to its counterpart here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, get_args

from factory.config import Optimizer

Values = dict[str, Any]
# The value of one key -> values here by dotted field; raises NoCounterpart.
Rule = Callable[[Any], Values]


class NoCounterpart(Exception):
    """This value cannot be moved; the message says why, and what to do."""


@dataclass(frozen=True)
class Tool:
    """One tool's configuration: how to tell it, and where each of its keys goes.

    `rules` and `dropped` are by dotted key; `implied` are the tool's own defaults where they
    differ from ours, by dotted field here, or functions of the moved values to them.
    """

    name: str
    marks: frozenset[str]
    rules: Mapping[str, Rule]
    dropped: Mapping[str, str] = field(default_factory=dict)
    implied: Mapping[str, Any] = field(default_factory=dict)


def to(*fields: str) -> Rule:
    """The value as it is, to one or more fields."""
    return lambda value: dict.fromkeys(fields, value)


def path(field_name: str) -> Rule:
    """A path, if it stays inside the workspace."""

    def move(value: Any) -> Values:
        pure = PurePosixPath(str(value))
        if pure.is_absolute() or ".." in pure.parts or str(value).startswith("~"):
            raise NoCounterpart(f"paths stay inside the workspace: set {field_name}")
        return {field_name: str(pure)}

    return move


def auto(field_name: str) -> Rule:
    """`auto` means here what null does: decided by the hardware."""
    return lambda value: {field_name: None if value in ("auto", "pure") else value}


def unless(default: Any, field_name: str) -> Rule:
    """A number whose `default` (0 or -1) means "not set", which is null here."""
    return lambda value: {field_name: None if value == default else value}


def choice(field_name: str, names: Mapping[Any, Any]) -> Rule:
    """A value by its name here."""

    def move(value: Any) -> Values:
        key = value.lower() if isinstance(value, str) else value
        if key not in names:
            raise NoCounterpart(f"{field_name} knows {', '.join(map(str, names))}")
        return {field_name: names[key]}

    return move


def modules(value: Any) -> Values:
    """LoRA targets as a list, a comma-separated text, or `all`."""
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else list(value)
    # A list of texts that hold commas is how some YAML files write one line of a list.
    names = [name.strip() for text in names for name in text.split(",") if name.strip()]
    if names in (["all"], ["all-linear"]):
        return {"lora.target_modules": "all-linear"}
    return {"lora.target_modules": names}


def validation_share(value: Any) -> Values:
    """A validation share; a test part of the same size is added, which those tools have not."""
    if isinstance(value, int | float) and 0 < value < 0.5:
        return {"dataset.split_ratios": [round(1 - 2 * value, 6), value, value]}
    raise NoCounterpart("a share below 0.5 is needed: set dataset.split_ratios")


def data_file(value: Any) -> Values:
    """Files of raw examples."""
    files = [value] if isinstance(value, str) else list(value)
    for name in files:
        if not PurePosixPath(name).suffix:
            raise NoCounterpart("not a file: put the data into data/raw or list dataset.sources")
        path("dataset.sources")(name)
    return {"dataset.sources": [str(PurePosixPath(name)) for name in files]}


def secret(value: Any) -> Values:
    """A token: never kept in a file."""
    raise NoCounterpart("a secret: give it by the environment (HF_TOKEN, WANDB_API_KEY)")


OPTIMIZERS: dict[str, str] = {name: name for name in get_args(Optimizer)} | {
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw_hf": "adamw_torch",
}
optimizer = choice("training.optim", OPTIMIZERS)
four_bits = choice("model.load_in_4bit", {4: True, "4": True, "4bit": True, None: False})
checkpointing = choice(
    "lora.use_gradient_checkpointing",
    {True: True, False: False, "true": True, "none": False, "unsloth": "unsloth"},
)
