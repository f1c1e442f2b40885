"""Small generated data in the shape of each shipped system: `factory init DIR --preset P --sample`.

The rows are made up and seeded; they show the format and let the whole pipeline run. They do not
teach a model anything worth shipping.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from factory import storage
from factory.config import Config

ROWS = 240
SEED = 3407
# Shares of a data set that comes in split files.
SPLITS = {"train": 0.8, "val": 0.1, "test": 0.1}

Row = dict[str, Any]
Shape = Callable[[random.Random, int], Row]


def write(root: Path, config: Config) -> list[Path]:
    """Write sample rows where `dataset.mix` or `dataset.sources` points; return the files."""
    shape = SHAPES.get(config.expert.group, chat)
    rows = list(generate(shape))
    mix = {path: entry.weight or 1.0 for entry in config.dataset.mix for path in entry.paths}
    sources = [path for entry in config.dataset.entries() for path in entry.paths]
    parts = _shares(mix, rows) if mix else _parts(sources, rows)
    written = []
    for name, part in parts:
        path = storage.inside(root, name, field="dataset.sources")
        with storage.atomic_write(path) as file:
            for row in part:
                storage.write_jsonl(file, row)
        written.append(path)
    return written


def generate(shape: Shape, count: int = ROWS) -> Iterator[Row]:
    """`count` rows, the same ones each time."""
    rng = random.Random(SEED)
    for number in range(count):
        yield shape(rng, number)


def _parts(sources: list[str], rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Which rows go to which source: split files by their share, else all to the one."""
    if len(sources) == 1:
        return _shares({sources[0]: 1.0}, rows)
    return _shares(dict(zip(sources, SPLITS.values(), strict=False)), rows)


def _shares(weights: dict[str, float], rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Rows in the given order, a share for each source; a folder gets one file."""
    total, start, passed = sum(weights.values()), 0, 0.0
    for name, weight in weights.items():
        passed += weight
        end = round(passed / total * len(rows))
        yield (name if PurePosixPath(name).suffix else f"{name}/sample.jsonl"), rows[start:end]
        start = end


def alpaca(rng: random.Random, number: int) -> Row:
    """`{"instruction", "input", "output"}`, with the seed's domain and quality of each row."""
    value, address = rng.randrange(256), 0x0800 + 2 * number
    kind = number % 3
    if kind == 0:
        asked = f"Store the value ${value:02X} at address ${address:04X}."
        answer = f"LDA #${value:02X}\nSTA ${address:04X}"
    elif kind == 1:
        asked = f"Add ${value:02X} to the byte at ${address:04X}."
        answer = f"LDA ${address:04X}\nCLC\nADC #${value:02X}\nSTA ${address:04X}"
    else:
        asked = f"Branch to label_{number} when the byte at ${address:04X} is ${value:02X}."
        answer = f"LDA ${address:04X}\nCMP #${value:02X}\nBEQ label_{number}"
    return {
        "instruction": asked,
        "input": "8-bit accumulator" if number % 2 else "",
        "output": answer,
        "domain": ("asm", "debug", "performance")[kind],
        "quality_score": round(rng.uniform(0.5, 1.0), 2),
    }


def pairs(rng: random.Random, number: int) -> Row:
    """`{"input", "output"}`: combat between two creatures, and what is left of them."""
    power, toughness = rng.randint(1, 9), rng.randint(1, 9)
    against, resistance = rng.randint(1, 9), rng.randint(1, 9)
    dead = [
        name
        for name, damage, life in (
            ("the attacker", against, toughness),
            ("the blocker", power, resistance),
        )
        if damage >= life
    ]
    outcome = " and ".join(dead) or "neither creature"
    return {
        "input": f"Game {number + 1}: a {power}/{toughness} attacker is blocked by a "
        f"{against}/{resistance} creature. What dies?",
        "output": f"{outcome[0].upper()}{outcome[1:]} dies: damage {power} meets toughness "
        f"{resistance}, damage {against} meets toughness {toughness}.",
    }


AGENT_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "remote_bash",
            "description": "Run a command on one machine",
            "parameters": {
                "type": "object",
                "properties": {"agent_id": {"type": "string"}, "command": {"type": "string"}},
                "required": ["agent_id", "command"],
            },
        },
    }
]


def agent(rng: random.Random, number: int) -> Row:
    """OpenAI messages of several turns: a request, a tool call, its result, the answer."""
    host, free = f"node{number:03d}", rng.randrange(5, 900)
    command = "df -h / --output=avail"
    call = {"name": "remote_bash", "arguments": {"agent_id": host, "command": command}}
    return {
        "messages": [
            {"role": "system", "content": "You are AJ. You administer machines."},
            {"role": "user", "content": f"How much disk is free on {host}?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": f"call_{number}", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": f"call_{number}", "content": f"{free}G"},
            {"role": "assistant", "content": f"{host} has {free} GB free."},
        ],
        "tools": AGENT_TOOLS,
    }


def chat(rng: random.Random, number: int) -> Row:
    """OpenAI messages of one exchange."""
    first, second = rng.randrange(10, 1000), number + 10
    return {
        "messages": [
            {"role": "user", "content": f"What is {first} plus {second}?"},
            {"role": "assistant", "content": f"{first} plus {second} is {first + second}."},
        ]
    }


def tools(rng: random.Random, number: int) -> Row:
    """OpenAI messages with one tool call, as the MCP specialists are trained on."""
    address, length = 0x7E0000 + 16 * number, rng.choice((1, 2, 4, 8, 16, 32))
    call = {
        "name": "yaze_debugger.read_memory",
        "arguments": {"address": f"0x{address:06X}", "length": length},
    }
    return {
        "messages": [
            {"role": "user", "content": f"Read {length} bytes at 0x{address:06X}."},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": f"call_{number}", "type": "function", "function": call}],
            },
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "yaze_debugger.read_memory",
                    "description": "Read bytes of memory",
                    "parameters": {
                        "type": "object",
                        "properties": {
                            "address": {"type": "string"},
                            "length": {"type": "integer"},
                        },
                        "required": ["address", "length"],
                    },
                },
            }
        ],
    }


# The shape of an expert's data, by its group.
SHAPES: dict[str, Shape] = {
    "gemma-3": chat,
    "mcp-tools": tools,
    "rom-tooling": alpaca,
    "aj": agent,
    "mtg": pairs,
}
