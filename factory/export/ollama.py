"""Which of our Go templates renders exactly as the model's own Jinja template.

Ollama does not use the template inside a GGUF reliably: without a matching Go `TEMPLATE` it feeds
the model prompts that it was never trained on. So each candidate is rendered on probe
conversations and has to give, character for character, what the model's own template gives.
JSON (tool schemas, call arguments) is compared by value: Ollama writes it with its own spacing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory.data.conversation import Row, template_tools
from factory.export import go_template

FOLDER = Path(__file__).parent / "ollama_templates"
MARK = "factory-probe-system"

Messages = list[dict[str, Any]]
Tools = list[dict[str, Any]] | None
# (messages, tools) -> text of the model's own template with the generation prompt, without the BOS
# token, which Ollama adds by itself. Raises Refused.
Render = Callable[[Messages, Tools], str]


class Refused(ValueError):
    """The model's own template does not take such a conversation."""


@dataclass(frozen=True)
class Family:
    """One candidate: its file in `ollama_templates/` and what ends an answer."""

    name: str
    stops: tuple[str, ...]
    tools: bool = False

    @property
    def template(self) -> str:
        """The Go template."""
        return (FOLDER / f"{self.name}.tmpl").read_text(encoding="utf-8").rstrip("\n")

    def render(self, messages: Messages, tools: Tools, system: str | None) -> str:
        """The prompt as Ollama would make it; `system` is the Modelfile's.

        A system message arrives twice: as `.System` and first in `.Messages`.
        """
        if system and messages[0]["role"] != "system":
            messages = [_message("system", system), *messages]
        data = {
            "System": messages[0]["content"] if messages[0]["role"] == "system" else "",
            "Tools": [_go_tool(tool) for tool in tools or []],
            "Messages": [_go_message(message) for message in messages],
        }
        return go_template.render(self.template, data)


# The one with tools comes first: where both render alike, it can do more.
FAMILIES = (
    Family("chatml-tools", ("<|im_start|>", "<|im_end|>"), tools=True),
    Family("chatml", ("<|im_start|>", "<|im_end|>")),
    Family("llama-3", ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")),
    Family("gemma", ("<start_of_turn>", "<end_of_turn>")),
    Family("mistral", ("[INST]", "[/INST]")),
    Family("mistral-nemo", ("[INST]", "[/INST]")),
    Family("phi-3", ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")),
)


@dataclass(frozen=True)
class Match:
    """The family that was found, if any, and why."""

    family: Family | None
    tools: str
    reason: str


@dataclass(frozen=True)
class Probe:
    """One conversation that both templates render."""

    name: str
    messages: Messages
    tools: Tools = None


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


CHAT = (_message("user", "What is 2+2?"), _message("assistant", "4"), _message("user", "And 3?"))
CALL: dict[str, Any] = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "type": "function",
            "function": {"name": "lamp_dim", "arguments": {"level": 3, "room": "hall"}},
        }
    ],
}
LAMP: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "lamp_dim",
        "description": "Dim a lamp.",
        "parameters": {
            "type": "object",
            "properties": {"level": {"type": "integer"}, "room": {"type": "string"}},
            "required": ["level"],
        },
    },
}
SYSTEM = _message("system", "Answer briefly.")
QUESTION = Probe("one question", [CHAT[0]])
CHAT_PROBES = (
    QUESTION,
    Probe("several turns", [*CHAT]),
    Probe("system prompt", [SYSTEM, CHAT[0]]),
    Probe("system prompt and several turns", [SYSTEM, *CHAT]),
)
TOOL_PROBES = (
    Probe("tools", [CHAT[0]], [LAMP]),
    Probe("tools and system prompt", [SYSTEM, CHAT[0]], [LAMP]),
    Probe(
        "tool call and result",
        [SYSTEM, CHAT[0], CALL, _message("tool", "done"), _message("user", "Thanks. And now?")],
        [LAMP],
    ),
    Probe("waiting tool result", [CHAT[0], CALL, _message("tool", "done")], [LAMP]),
)


def match(render: Render) -> Match:
    """Find the family whose Go template gives what `render` gives on every chat probe.

    A family with tools has to pass the tool probes, too.
    """
    system = system_text(render, [], None)
    for family in FAMILIES:
        if _first_difference(family, render, CHAT_PROBES, system):
            continue
        if not family.tools:
            reason = f"the Go template {family.name!r} renders all chat probes as the model's own"
            return Match(family, "not supported", f"{reason}; tool schemas it cannot render")
        if not _first_difference(family, render, TOOL_PROBES, system):
            return Match(
                family,
                "equal up to JSON spacing and key order",
                f"the Go template {family.name!r} renders all chat and tool probes as the "
                "model's own (JSON compared by value)",
            )
    return Match(
        None,
        "not supported",
        "no Go template here renders like the model's own, so the Modelfile has no TEMPLATE: use "
        "llama.cpp (--jinja), which runs the template inside the GGUF, or write a TEMPLATE by hand",
    )


def _first_difference(
    family: Family, render: Render, probes: Sequence[Probe], system: str | None
) -> str | None:
    """The name of the first probe that comes out differently, or None.

    A conversation that the model's own template refuses (Gemma 2: a system prompt) has no text to
    compare. One that refuses a plain question matches nothing.
    """
    for probe in probes:
        try:
            wanted = render(probe.messages, probe.tools)
        except Refused:
            if probe is QUESTION:
                return probe.name
            continue
        if by_value(wanted) != by_value(family.render(probe.messages, probe.tools, system)):
            return probe.name
    return None


def system_text(render: Render, messages: Messages, tools: Tools) -> str | None:
    """What the model's template puts into the system block for a conversation that starts so.

    Covers a system message, the template's own default, and tool signatures written there. None
    if it opens no such block, or knows none.
    """
    question = _message("user", "?")
    try:
        marked = render([_message("system", MARK), question], None)
    except Refused:
        return None
    before, _, after = marked.partition(MARK)
    system = [message for message in messages[:1] if message["role"] == "system"]
    text = render([*system, question], tools)
    if len(text) < len(before) + len(after) or not (
        text.startswith(before) and text.endswith(after)
    ):
        return None
    return text[len(before) : len(text) - len(after)]


def system_texts(render: Render, family: Family | None, rows: Iterable[Row]) -> Counter[str | None]:
    """How often which text stands in the system block of the rows; None: no such block.

    Where the family cannot write tool schemas itself, they are part of that text.
    """
    found: Counter[str | None] = Counter()
    for row in rows:
        tools = None if family and family.tools else template_tools(row)
        found[system_text(render, [dict(turn) for turn in row["conversations"][:1]], tools)] += 1
    return found


def _go_message(message: Mapping[str, Any]) -> dict[str, Any]:
    calls = message.get("tool_calls") or []
    return {
        "Role": message["role"],
        "Content": message["content"],
        "ToolCalls": [
            {
                "Function": {
                    "Name": call["function"]["name"],
                    "Arguments": call["function"]["arguments"],
                }
            }
            for call in calls
        ],
    }


def _go_tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    return {"Type": tool["type"], "Function": tool["function"]}


def by_value(text: str) -> str:
    """`text` with every JSON object in it written canonically."""
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    decoder = json.JSONDecoder()
    position = 0
    while (start := text.find("{", position)) >= 0:
        yield text[position:start]
        try:
            value, position = decoder.raw_decode(text, start)
            yield json.dumps(value, sort_keys=True, ensure_ascii=False)
        except ValueError:
            yield "{"
            position = start + 1
    yield text[position:]
