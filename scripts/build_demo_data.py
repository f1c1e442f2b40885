#!/usr/bin/env python3
"""Build the demo data set: tool calls of three ROM-hacking specialists, in OpenAI's format.

    python scripts/build_demo_data.py --out data/raw

Writes one JSONL file per specialist. Rows say which split they belong to: validation and test use
values (addresses, paths, code, ...) that training never does, and for every second row sentences
that training never does. The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from demo_data.specialists import Parameter, Phrasebook, Specialist, Tool, load_phrasebook
from demo_data.values import Value, draw

DEFAULT_OUT = Path(__file__).resolve().parents[1] / "data" / "raw"
ROWS = {"train": 694, "val": 81, "test": 99}
UNSEEN_SHARE = {"train": 0.0, "val": 0.5, "test": 0.5}
OPTION_SHARE = 0.25  # how often a request asks for an optional parameter
ATTEMPTS = 1000

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What one row is to be."""

    specialist: Specialist
    tool: Tool
    split: str
    phrasing: str  # "seen" or "unseen"

    @property
    def phrases(self) -> str:
        """The split whose sentences, clauses and openings the row uses."""
        return self.split if self.phrasing == "unseen" else "train"


@dataclass
class Seen:
    """What has been used, so that nothing occurs twice."""

    texts: set[str] = field(default_factory=set)
    calls: set[tuple[str, str]] = field(default_factory=set)


def parameter_schema(parameter: Parameter) -> dict[str, Any]:
    """JSON Schema of one parameter; a closed list of strings is an enum."""
    closed = isinstance(parameter.values, list) and parameter.type == "string"
    return {"type": parameter.type} | ({"enum": parameter.values} if closed else {})


def tool_definition(specialist: Specialist, tool: Tool) -> dict[str, Any]:
    """The tool as an OpenAI function."""
    parameters = {
        "type": "object",
        "properties": {item.name: parameter_schema(item) for item in tool.parameters},
        "required": [item.name for item in tool.parameters if item.required],
        "additionalProperties": False,
    }
    function = {
        "name": f"{specialist.name}.{tool.name}",
        "description": tool.description,
        "parameters": parameters,
    }
    return {"type": "function", "function": function}


def draw_arguments(rng: Random, tool: Tool, split: str) -> dict[str, Value]:
    """Values for all required parameters and for some optional ones."""
    arguments: dict[str, Value] = {}
    for parameter in tool.parameters:
        if not parameter.required and rng.random() >= OPTION_SHARE:
            continue
        if isinstance(parameter.values, str):
            arguments[parameter.name] = draw(rng, parameter.values, split)
        else:
            arguments[parameter.name] = rng.choice(parameter.values)
    return arguments


def spoken(rng: Random, parameter: Parameter, value: Value) -> str:
    """A value as the request writes it: code always in quotes, paths and bytes now and then."""
    if parameter.values == "assembly":
        mark = rng.choice("``'\"")
        return f"{mark}{value}{mark}"
    quotable = parameter.values in ("rom_path", "resource_path", "picture_path", "byte_data")
    return f'"{value}"' if quotable and rng.random() < 0.12 else str(value)


def complete(rng: Random, sentence: str, openings: list[tuple[str, str]]) -> str:
    """Give an order an opening and a closing; leave a complete sentence as it is."""
    if not sentence[0].islower():
        return sentence
    opening, closing = rng.choice(openings)
    return opening + sentence + closing


def request_text(
    rng: Random, plan: Plan, arguments: dict[str, Value], openings: list[tuple[str, str]]
) -> str:
    """An English request for the call."""
    words = {
        item.name: spoken(rng, item, arguments[item.name])
        for item in plan.tool.parameters
        if item.name in arguments
    }
    clauses = [
        rng.choice(item.clauses[plan.phrases])
        for item in plan.tool.parameters
        if item.name in arguments and item.clauses
    ]
    sentence = complete(rng, rng.choice(plan.tool.sentences[plan.phrases]), openings)
    text = sentence.replace("{options}", "".join(clauses)).format(**words)
    return text[0].upper() + text[1:]


def normalised(text: str) -> str:
    """Text without case and punctuation, so that near-identical requests count as one."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def draw_example(
    rng: Random, plan: Plan, openings: list[tuple[str, str]], seen: Seen
) -> tuple[str, dict[str, Value]]:
    """A request and its arguments, neither of which occurred before."""
    for _ in range(ATTEMPTS):
        arguments = draw_arguments(rng, plan.tool, plan.split)
        text = request_text(rng, plan, arguments, openings)
        call = (f"{plan.specialist.name}.{plan.tool.name}", json.dumps(arguments, sort_keys=True))
        if normalised(text) not in seen.texts and call not in seen.calls:
            seen.texts.add(normalised(text))
            seen.calls.add(call)
            return text, arguments
    raise RuntimeError(f"no new request for {plan.tool.name} in {ATTEMPTS} attempts; add values")


def plans(rng: Random, specialists: list[Specialist]) -> list[Plan]:
    """One plan per row: tools in turn, phrasings in the promised share, shuffled in each split."""
    tools = [(specialist, tool) for specialist in specialists for tool in specialist.tools]
    result: list[Plan] = []
    for split, rows in ROWS.items():
        unseen = round(rows * UNSEEN_SHARE[split])
        phrasings = ["unseen"] * unseen + ["seen"] * (rows - unseen)
        rng.shuffle(phrasings)
        part = [
            Plan(*tools[index % len(tools)], split=split, phrasing=phrasing)
            for index, phrasing in enumerate(phrasings)
        ]
        rng.shuffle(part)
        result += part
    return result


def build_row(identifier: str, plan: Plan, text: str, arguments: dict[str, Value]) -> Row:
    """One example in OpenAI's function-calling format."""
    call = {
        "id": f"call_{identifier}",
        "type": "function",
        "function": {
            "name": f"{plan.specialist.name}.{plan.tool.name}",
            "arguments": json.dumps(arguments, ensure_ascii=False),
        },
    }
    return {
        "id": identifier,
        "messages": [
            {"role": "system", "content": plan.specialist.system},
            {"role": "user", "content": text},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        ],
        "tools": [tool_definition(plan.specialist, tool) for tool in plan.specialist.tools],
        "split": plan.split,
        "tags": {"phrasing": plan.phrasing},
    }


def build_rows(book: Phrasebook, seed: int) -> dict[str, list[Row]]:
    """All rows, by specialist."""
    rng = Random(seed)
    seen = Seen()
    rows: dict[str, list[Row]] = {specialist.name: [] for specialist in book.specialists}
    for plan in plans(rng, book.specialists):
        mine = rows[plan.specialist.name]
        text, arguments = draw_example(rng, plan, book.openings[plan.phrases], seen)
        mine.append(build_row(f"{plan.specialist.name}-{len(mine) + 1:04d}", plan, text, arguments))
    return rows


def write_rows(out: Path, rows: dict[str, list[Row]]) -> None:
    """Write one JSONL file per specialist and say what is in it."""
    out.mkdir(parents=True, exist_ok=True)
    for name, mine in rows.items():
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in mine]
        path = out / f"{name}.jsonl"
        path.write_text("".join(lines), encoding="utf-8", newline="\n")
        counts = Counter(row["split"] for row in mine)
        parts = ", ".join(f"{count} {split}" for split, count in counts.items())
        print(f"{path}: {len(mine)} rows ({parts})")


def parse_arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=2026, help="default: %(default)s")
    return parser.parse_args()


def main() -> int:
    """Build and write the data set."""
    arguments = parse_arguments()
    write_rows(arguments.out, build_rows(load_phrasebook(), arguments.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())
