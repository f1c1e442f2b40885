"""The specialists of `specialists.yaml`: MCP servers, their tools, and how people ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SPECIALISTS_FILE = Path(__file__).with_name("specialists.yaml")

Phrasings = dict[str, list[str]]  # by "train", "val", "test"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool; `values` names an open-ended kind, or lists all there are."""

    name: str
    type: str
    values: str | list[str | int | bool]
    clauses: Phrasings | None = None

    @property
    def required(self) -> bool:
        """Whether every call has to give it: only optional parameters have clauses."""
        return self.clauses is None


@dataclass(frozen=True)
class Tool:
    """One function of a specialist."""

    name: str
    description: str
    parameters: list[Parameter]
    sentences: Phrasings


@dataclass(frozen=True)
class Specialist:
    """An MCP server: a name, the system prompt that its examples share, and its tools."""

    name: str
    system: str
    tools: list[Tool]


@dataclass(frozen=True)
class Phrasebook:
    """The whole file; `openings` are pairs of what goes before and after an order, by split."""

    openings: dict[str, list[tuple[str, str]]]
    specialists: list[Specialist]


def _tool(entry: dict[str, Any]) -> Tool:
    parameters = [Parameter(**parameter) for parameter in entry["parameters"]]
    return Tool(**{**entry, "parameters": parameters})


def load_phrasebook() -> Phrasebook:
    """Read the file."""
    content = yaml.safe_load(SPECIALISTS_FILE.read_text(encoding="utf-8"))
    openings = {
        split: [(before, after) for before, after in pairs]
        for split, pairs in content["openings"].items()
    }
    specialists = [
        Specialist(entry["name"], entry["system"], [_tool(tool) for tool in entry["tools"]])
        for entry in content["specialists"]
    ]
    return Phrasebook(openings, specialists)
