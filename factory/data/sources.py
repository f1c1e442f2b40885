"""Which files a configuration means, in an order that no file system decides."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from factory import storage
from factory.config import Source
from factory.context import Context
from factory.data import mapping
from factory.data.canonical import NO_SPLIT, SPLIT_NAMES
from factory.data.containers import SUFFIXES, reader_of
from factory.data.mapping import ColumnMapping
from factory.errors import ConfigError, DataError


class Reading(NamedTuple):
    """How the rows of a source are to be read: what its table in the configuration says.

    entry:   its place in dataset.sources or dataset.mix
    format:  the row format; None: as dataset.format says
    mapping: its own names of columns and roles, if it has any
    where:   the field of the configuration
    """

    entry: int = 0
    format: str | None = None
    mapping: ColumnMapping | None = None
    where: str = "dataset.sources"


class SourceFile(NamedTuple):
    """One input file; `name` is how reports and rows call it."""

    path: Path
    name: str
    split: int
    reading: Reading = Reading()


def configured(context: Context) -> list[SourceFile]:
    """The files that `dataset.mix` or else `dataset.sources` mean; a file counts for one entry.

    Raises ConfigError when two entries want one file read in different ways.
    """
    settings = context.config.dataset
    field = "dataset.mix" if settings.mix else "dataset.sources"
    found: dict[str, SourceFile] = {}
    for number, entry in enumerate(settings.entries()):
        reading = _reading(entry, number, field)
        for file in _files_of(entry, field, context):
            first = found.setdefault(file.name, file._replace(reading=reading))
            _require_same(first, reading)
    return [found[name] for name in sorted(found)]


def _reading(entry: Source, number: int, field: str) -> Reading:
    where = f"{field}[{number}]"
    columns = mapping.of(entry.columns, entry.roles, entry.format, where)
    return Reading(number, entry.format, columns, where)


def _files_of(entry: Source, field: str, context: Context) -> list[SourceFile]:
    return find(
        [entry.path] if entry.path else [],
        resolve=lambda path: context.resolve(path, field=field),
        name=context.workspace.relative,
    )


def _require_same(file: SourceFile, reading: Reading) -> None:
    """A file that two entries name is read once: they have to agree on how."""
    first, second = ((r.format, r.mapping and r.mapping[:3]) for r in (file.reading, reading))
    if first != second:
        raise ConfigError(
            f"{file.name} is named before, in {file.reading.where}, and read in another way there",
            where=reading.where,
            hint="name each file in one source",
        )


def find(
    sources: list[str], *, resolve: Callable[[str], Path], name: Callable[[Path], str]
) -> list[SourceFile]:
    """Return the files behind `sources` (files and folders), each once, sorted by name.

    Raises DataError when a source does not exist or a folder holds nothing readable.
    """
    found: dict[str, Path] = {}
    for source in sources:
        for path in _files(resolve(source), source):
            found[name(path)] = path
    names = sorted(found)
    return [SourceFile(found[n], n, split_of(Path(n))) for n in names]


def _files(path: Path, source: str) -> list[Path]:
    if any(mark in source for mark in "*?[") and not path.exists():
        found = sorted(glob.glob(str(path), recursive=True))
        files = [Path(name) for name in found if is_readable(Path(name))]
        if not files:
            raise DataError("no readable file matches", where=source, hint="check dataset.sources")
        return files
    if path.is_dir():
        files = [file for file in storage.list_files(path) if is_readable(file)]
        if not files:
            raise DataError(
                f"no {', '.join(SUFFIXES)} file here", where=source, hint="put raw examples there"
            )
        return files
    if not path.exists():
        raise DataError("no such file or folder", where=source, hint="check dataset.sources")
    if not is_readable(path):
        raise DataError(
            f"not a kind of file that can be read ({path.suffix or 'no suffix'})",
            where=source,
            hint=f"one of: {', '.join(SUFFIXES)}",
        )
    return [path]


def is_readable(path: Path) -> bool:
    """Whether the suffix of `path` is one that a container reader knows."""
    return reader_of(path) is not None


def split_of(path: Path) -> int:
    """The split that a file name promises: `test.jsonl`, `gsm8k_test.jsonl`, `demo-val.json`."""
    words = re.split(r"[^a-z]+", path.name.lower().partition(".")[0])
    named = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    return named[-1] if named else NO_SPLIT
