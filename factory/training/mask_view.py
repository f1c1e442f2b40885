"""The mask for a person: a row with what is trained in colour, on a terminal or as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from factory import base_model, chat_template, storage, template_probe
from factory.context import Context
from factory.errors import ConfigError, DataError
from factory.training.templates.training_data import IGNORED, BadData, Mask, prove, use_template

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Trained tokens</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body {{ font: 14px/1.5 monospace; margin: 2em; max-width: 100ch; white-space: pre-wrap }}
mark {{ background: #b8f0c0; color: #04310d }}
h2 {{ font: bold 15px sans-serif; margin: 2em 0 .3em }}
</style>
<p>Green is trained, the rest is context.</p>
{rows}
</html>
"""


def load_mask(context: Context) -> Mask:
    """The mask of the configured base model and template."""
    from transformers import AutoTokenizer

    template_probe.require(context)
    tokenizer = AutoTokenizer.from_pretrained(base_model.resolve(context).folder)
    try:
        use_template(tokenizer, chat_template.override(context))
        return Mask(tokenizer)
    except BadData as error:
        raise DataError(str(error), where="dataset.chat_template") from None


def rows(path: Path, only: int | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a split; only line `only` if that is given."""
    last = 0
    for last, row in enumerate(storage.read_jsonl(path), start=1):
        if only is None or last == only:
            yield last, row
    if only is not None and not 1 <= only <= last:
        raise ConfigError(f"there is no row {only}: {path.name} has {last}", where="--row")


def pieces(mask: Mask, row: dict[str, Any]) -> list[tuple[str, bool]]:
    """The rendered row in pieces: (text, trained?)."""
    text, _, offsets = mask.encode(row)
    _, labels = prove(mask, row)
    found: list[tuple[str, bool]] = []
    position = 0
    for label, (begin, end) in zip(labels, offsets, strict=True):
        if end <= position:  # a further token of the same character
            continue
        trained = label != IGNORED
        if begin > position:
            found.append((text[position:begin], False))
        found.append((text[max(begin, position) : end], trained))
        position = end
    return [*found, (text[position:], False)]


def summary(mask: Mask, path: Path) -> dict[str, Any]:
    """Counts over a whole split; DataError names the first row that cannot be proven."""
    counts = {"rows": 0, "tokens": 0, "trained_tokens": 0, "rows_without_answer": 0}
    for number, row in rows(path, None):
        try:
            ids, labels = prove(mask, row)
        except BadData as error:
            raise DataError(str(error), where=f"{path}:{number}") from None
        trained = sum(label != IGNORED for label in labels)
        counts["rows"] += 1
        counts["tokens"] += len(ids)
        counts["trained_tokens"] += trained
        counts["rows_without_answer"] += not trained
    return {**counts, "openings": mask.openings, "closers": mask.closers}


def as_html(shown: list[tuple[str, list[tuple[str, bool]]]]) -> str:
    """A page of rows; everything in them is shown as text."""
    parts = []
    for title, row in shown:
        body = "".join(
            f"<mark>{html.escape(text)}</mark>" if trained else html.escape(text)
            for text, trained in row
        )
        parts.append(f"<h2>{html.escape(title)}</h2>{body}")
    return PAGE.format(rows="\n".join(parts))


def as_json(row: list[tuple[str, bool]]) -> list[dict[str, Any]]:
    """For --json."""
    merged: list[dict[str, Any]] = []
    for text, trained in row:
        if merged and merged[-1]["trained"] == trained:
            merged[-1]["text"] += text
        elif text:
            merged.append({"text": text, "trained": trained})
    return merged
