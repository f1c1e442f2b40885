"""The proving process: `python -m factory.export.proof_worker REQUEST.json`.

Compares every produced file with what was evaluated, finds the Go template that renders like the
model's own, and writes both as one JSON file.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from factory import child, storage
from factory.data.conversation import Row
from factory.errors import DataError, FactoryError
from factory.export import gguf_tensors, ollama, parity
from factory.export.proof import ProofRequest, read_request
from factory.export.report import OllamaTemplate, Parity
from factory.inference.turns import Turn, turns
from factory.inference.worker import load_tokenizer

# Logits over a whole vocabulary are large: of this many turns, and of long answers the first
# tokens, they are compared. With 150,000 tokens in the vocabulary that keeps them below 640 MB.
MAX_TURNS = 16
MAX_POSITIONS_PER_TURN = 64
# A data set may have a system prompt a row; the Modelfile shows the most frequent ones.
MAX_SYSTEMS = 8


def main(path: Path) -> int:
    """Prove what one request names; an expected error is sent to the parent as an event."""
    try:
        _prove(read_request(path))
    except FactoryError as error:
        child.emit({"event": "error", **error.as_json()})
        return 1
    return 0


def _prove(asked: ProofRequest) -> None:
    tokenizer = load_tokenizer(asked.reference)
    rows = [cast(Row, row) for row in storage.read_jsonl(Path(asked.reference.rows))]
    found = _parities(asked, tokenizer, rows)
    storage.write_json(
        Path(asked.output),
        {
            "parity": {name: result.model_dump() for name, result in found.items()},
            "ollama": _ollama(tokenizer, rows).model_dump(),
            "end_token_id": tokenizer.eos_token_id,
        },
    )


def _parities(asked: ProofRequest, tokenizer: Any, rows: Sequence[Row]) -> dict[str, Parity]:
    """Parity of the merged folder and of each GGUF, by name."""
    wanted = set(asked.reference.ids)
    rows = [row for row in rows if row["id"] in wanted]
    which = asked.reference.turns
    prompts = _turns(tokenizer, rows, which)
    items = _sample(prompts)
    if not items:
        raise DataError("no assistant turn to compare", where=asked.reference.rows)
    reference, rounding = parity.reference_logits(asked.reference, items, asked.merged_dtype)

    def beside_reference(own: Any, logits: Iterator[parity.Logits]) -> Parity:
        differ = _differing(prompts, _turns(own, rows, which))
        return parity.summarise(
            items, reference, logits, prompts=len(prompts), prompts_differ=differ
        )

    request = replace(asked.reference, model=asked.merged, adapter=None)
    # The merged folder stands on its own: its tokenizer and template, not the base model's.
    own = load_tokenizer(replace(request, tokenizer=asked.merged, chat_template=None))
    merged = beside_reference(own, parity.folder_logits(request, items))
    found = {"merged": merged.model_copy(update={"rounding_floor": rounding})}
    for name, file in asked.gguf.items():
        own = copy.deepcopy(tokenizer)
        own.chat_template = gguf_tensors.chat_template(Path(file))
        logits = parity.gguf_logits(file, items, asked.reference.threads)
        found[name] = beside_reference(own, logits)
    return found


def _turns(tokenizer: Any, rows: Sequence[Row], which: str) -> list[Turn]:
    """The turns to compare; none where the tokenizer has no template to render them."""
    if not tokenizer.chat_template:
        return []
    return [turn for row in rows for turn in turns(tokenizer, row, which=which)]


def _sample(prompts: Sequence[Turn]) -> list[Turn]:
    """At most MAX_TURNS turns, evenly from all of them, with the start of their expected tokens."""
    step = -(-len(prompts) // MAX_TURNS) or 1
    return [
        replace(turn, target_ids=turn.target_ids[:MAX_POSITIONS_PER_TURN])
        for turn in prompts[::step]
    ]


def _differing(items: Sequence[Turn], found: Sequence[Turn]) -> int:
    """How many turns became other tokens; all of them if there are not as many."""
    if len(items) != len(found):
        return len(items)
    return sum(
        (ours.prompt_ids, ours.target_ids) != (theirs.prompt_ids, theirs.target_ids)
        for ours, theirs in zip(items, found, strict=True)
    )


def renderer(tokenizer: Any) -> ollama.Render:
    """The model's own template as the Ollama probes ask for it."""

    def render(messages: ollama.Messages, tools: ollama.Tools) -> str:
        from jinja2.exceptions import TemplateError

        try:
            text: str = tokenizer.apply_chat_template(
                messages, tools=tools, tokenize=False, add_generation_prompt=True
            )
        # TypeError: a template for tools only goes through `tools` without asking if there are any.
        except (TemplateError, TypeError) as error:
            raise ollama.Refused(str(error)) from None
        return text.removeprefix(tokenizer.bos_token or "")

    return render


def _ollama(tokenizer: Any, rows: Sequence[Row]) -> OllamaTemplate:
    """The matching Go template, and what stands in the system block of the rows."""
    render = renderer(tokenizer)
    found = ollama.match(render)
    systems = ollama.system_texts(render, found.family, rows)
    family_stops = found.family.stops if found.family else ()
    return OllamaTemplate(
        family=found.family.name if found.family else None,
        tools=found.tools,
        reason=found.reason,
        stops=sorted({*family_stops, tokenizer.eos_token}),
        systems=[text for text, _count in systems.most_common() if text][:MAX_SYSTEMS],
        always_system=None not in systems,
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
