"""Sources to spool: every file's format is detected, every row becomes canonical or a reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from factory import storage
from factory.artifacts import Decision
from factory.config import Dataset
from factory.console import Bar
from factory.data import containers, formats
from factory.data.block import Formatted, Task, format_block
from factory.data.rejection import REASONS, Rejected
from factory.data.report import Source
from factory.data.sources import SourceFile
from factory.data.spool import Spool
from factory.errors import DataError

DETECTION_ROWS = 100


def ingest(
    files: list[SourceFile], settings: Dataset, spool: Spool, rejects: BinaryIO, bar: Bar
) -> tuple[list[Source], dict[str, Decision]]:
    """Read every file into `spool`, write what cannot be used to `rejects`.

    Raises DataError when no file holds a single row.
    """
    sources: list[Source] = []
    decisions: dict[str, Decision] = {}
    read = 0
    for number, file in enumerate(files):
        decision = detect_format(file, settings)
        decisions[f"format of {file.name}"] = decision
        reasons: Counter[str] = Counter()
        for block in containers.blocks(file.path, settings.max_line_bytes):
            formatted = format_block(Task(block, number, file.name, file.split, decision.value))
            spool.append(formatted)
            reasons.update(write_rejects(rejects, file.name, formatted))
            read += len(formatted.records) + len(formatted.rejects)
            bar.update(number, note=f"{read} rows")
        sources.append(Source(file.name, decision.value, reasons))
        bar.update(number + 1, note=f"{read} rows")
    if not read:
        names = ", ".join(file.name for file in files[:3])
        raise DataError("no rows at all", where=names, hint="put raw examples into dataset.sources")
    return sources, decisions


def detect_format(file: SourceFile, settings: Dataset) -> Decision:
    """The row format of one file: as configured, or as most of its first rows have it."""
    if settings.format != "auto":
        return Decision(value=formats.by_name(settings.format).name, reason="dataset.format")
    form, votes, asked = formats.detect(islice(_parsed_rows(file, settings), DETECTION_ROWS))
    if form is None:
        return Decision(
            value=formats.UNKNOWN, reason=f"none of {asked} rows has the fields of a known format"
        )
    return Decision(value=form.name, reason=f"{votes} of the first {asked} rows have its fields")


def _parsed_rows(file: SourceFile, settings: Dataset) -> Iterator[dict[str, object]]:
    """The rows of a file that parse, read afresh."""
    for block in containers.blocks(file.path, settings.max_line_bytes):
        for _, row in block.rows():
            if not isinstance(row, Rejected):
                yield row


def write_rejects(output: BinaryIO, name: str, formatted: Formatted) -> Iterator[str]:
    """Write each reject of one block as a line of JSON; yield its reason code."""
    for line, code, detail in formatted.rejects:
        explained = f"{REASONS[code]}: {detail}" if detail else REASONS[code]
        storage.write_jsonl(
            output, {"file": name, "line": line, "reason": code, "detail": explained}
        )
        yield code
