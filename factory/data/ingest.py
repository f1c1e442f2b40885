"""Sources to spool: every file's format is detected, every row becomes canonical or a reject."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, islice
from typing import Any, BinaryIO, NamedTuple

from factory import storage
from factory.artifacts import Decision
from factory.config import Dataset
from factory.console import Bar
from factory.data import containers, formats
from factory.data.block import Origin, Reject
from factory.data.mapping import ColumnMapping, require_columns
from factory.data.markup import SpecialTokens
from factory.data.rejection import REASONS, Rejected
from factory.data.selection import Selection
from factory.data.sources import SourceFile
from factory.data.spool import Spool
from factory.data.work import PIECES_PER_PART, Pool, Task, format_pieces
from factory.errors import DataError

DETECTION_ROWS = 100


class Source(NamedTuple):
    """One input file, the format of its rows, and its rejects by reason."""

    file: SourceFile
    format: Decision
    rejects: Counter[str]


def ingest(
    files: Sequence[SourceFile],
    settings: Dataset,
    spool: Spool,
    rejects: BinaryIO,
    special: SpecialTokens,
    reasoning: str,
    pool: Pool,
    bar: Bar,
) -> list[Source]:
    """Read every file into `spool`, write what cannot be used to `rejects`.

    `reasoning` is where thoughts go, as `factory.data.reasoning` decides.

    Raises DataError when no file holds a single row.
    """
    _require_columns(files, settings)
    sources = [Source(file, detect_format(file, settings), Counter()) for file in files]
    read = 0
    for done in format_pieces(_tasks(sources, settings, special, reasoning), spool.folder, pool):
        source = sources[done.source]
        spool.append(done)
        source.rejects.update(_write_rejects(rejects, source.file.name, done.rejects))
        read += len(done.records) + len(done.rejects)
        bar.update(done.source, note=f"{read} rows")
    if not read:
        names = ", ".join(file.name for file in files[:3])
        raise DataError("no rows at all", where=names, hint="put raw examples into dataset.sources")
    bar.update(len(files), note=f"{read} rows")
    return sources


def _tasks(
    sources: Sequence[Source], settings: Dataset, special: SpecialTokens, reasoning: str
) -> Iterator[Task]:
    pieces = count()
    for number, source in enumerate(sources):
        reading = source.file.reading
        selection = _selection(settings, reading.entry)
        name, form = source.file.name, source.format.value
        origin = Origin(name, form, selection, special, reading.mapping, reasoning)
        for piece in containers.pieces(source.file.path, settings.max_line_bytes):
            yield Task(number, next(pieces) // PIECES_PER_PART, origin, piece)


def _selection(settings: Dataset, entry: int) -> Selection:
    """Which rows of one source are wanted, as it says or else the data set; and texts for them."""
    own = settings.entries()[entry]
    return Selection(
        settings.prompt_template,
        settings.min_quality_of(own),
        frozenset(own.domains or settings.domains),
        settings.system_prompt,
    )


def detect_format(file: SourceFile, settings: Dataset) -> Decision:
    """The row format of one file: as configured, or as most of its first rows have it."""
    _, own, mapping, where = file.reading
    if mapping is not None and mapping.format is not None:
        return Decision(value=mapping.format, reason=f"columns of {where}")
    wanted = own or settings.format
    if wanted != "auto":
        field = f"{where}.format" if own else "dataset.format"
        reason = f"format of {where}" if own else field
        return Decision(value=formats.by_name(wanted, field).name, reason=reason)
    rows = _parsed_rows(file, settings)
    if mapping is not None:
        rows = _mapped(rows, mapping)
    form, votes, asked = formats.detect(islice(rows, DETECTION_ROWS))
    if form is None:
        return Decision(
            value=formats.UNKNOWN, reason=f"none of {asked} rows has the fields of a known format"
        )
    return Decision(value=form.name, reason=f"{votes} of the first {asked} rows have its fields")


def _mapped(rows: Iterator[dict[str, Any]], mapping: ColumnMapping) -> Iterator[dict[str, Any]]:
    for row in rows:
        with suppress(Rejected):
            yield mapping.row(row)


def _require_columns(files: Sequence[SourceFile], settings: Dataset) -> None:
    """Refuse a mapping that names a column which no row of its source has."""
    by_source: dict[str, list[SourceFile]] = {}
    for file in files:
        if file.reading.mapping is not None:
            by_source.setdefault(file.reading.where, []).append(file)
    for members in by_source.values():
        mapping = members[0].reading.mapping
        if mapping is not None:
            names = ", ".join(file.name for file in members[:3])
            rows = (row for file in members for row in _parsed_rows(file, settings))
            require_columns(mapping, names, rows)


def _parsed_rows(file: SourceFile, settings: Dataset) -> Iterator[dict[str, Any]]:
    """The rows of a file that parse, read afresh."""
    for piece in containers.pieces(file.path, settings.max_line_bytes):
        for block in piece.blocks():
            for _, _, row in block.rows():
                if not isinstance(row, Rejected):
                    yield row


def _write_rejects(output: BinaryIO, name: str, rejects: Sequence[Reject]) -> Iterator[str]:
    """Write the rejects of one piece, each a line of JSON; yield their reason codes."""
    for line, code, detail in rejects:
        explained = f"{REASONS[code]}: {detail}" if detail else REASONS[code]
        storage.write_jsonl(
            output, {"file": name, "line": line, "reason": code, "detail": explained}
        )
        yield code
