"""The Modelfile: how Ollama runs the GGUF with the prompts and settings it was measured with."""

from __future__ import annotations

from collections.abc import Iterator

from factory.export import ollama
from factory.export.report import OllamaTemplate

QUOTE = '"""'


def write(gguf: str, template: OllamaTemplate, *, context_length: int) -> str:
    """The text of a Modelfile for the file `gguf` (relative to the release folder)."""
    return "\n".join(_lines(gguf, template, context_length))


def _lines(gguf: str, template: OllamaTemplate, context_length: int) -> Iterator[str]:
    yield "# ollama create NAME -f Modelfile     (inside this folder)"
    yield f"FROM ./{gguf}"
    yield ""
    yield from _template(template)
    yield from _system(template)
    yield "# As measured: greedy, within the context length of the training."
    yield "PARAMETER temperature 0"
    yield f"PARAMETER num_ctx {context_length}"
    yield from (f"PARAMETER stop {_quoted(stop)}" for stop in template.stops)
    yield ""


def _template(template: OllamaTemplate) -> Iterator[str]:
    yield from _comment(template.reason)
    family = next((one for one in ollama.FAMILIES if one.name == template.family), None)
    if family is not None:
        yield from _comment(f"Tools: {template.tools}.")
        yield f"TEMPLATE {QUOTE}{family.template}{QUOTE}"
    yield ""


def _system(template: OllamaTemplate) -> Iterator[str]:
    """SYSTEM where every row was trained with the same text, else the texts to choose from."""
    texts = [text for text in template.systems if QUOTE not in text]
    if len(texts) == 1 and template.always_system:
        yield "# What stands in the system block of every test row."
        yield f"SYSTEM {QUOTE}{texts[0]}{QUOTE}"
    elif texts:
        yield "# System texts of the test rows, the most frequent first. Send the one that fits as"
        yield "# the system message, or make it this file's SYSTEM:"
        for text in texts:
            yield "#"
            yield from (f"#   {line}" for line in f"SYSTEM {QUOTE}{text}{QUOTE}".splitlines())
    else:
        return
    yield ""


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in text.splitlines())


def _quoted(text: str) -> str:
    return f"{QUOTE}{text}{QUOTE}" if '"' in text else f'"{text}"'
