"""Which files a configuration means, in an order that no file system decides."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from factory import storage
from factory.artifacts import Decision
from factory.config import Source
from factory.context import Context
from factory.data import hub, indexes, mapping
from factory.data.canonical import NO_SPLIT, SPLIT_NAMES
from factory.data.containers import SUFFIXES, reader_of
from factory.data.indexes import llamafactory
from factory.data.mapping import ColumnMapping
from factory.errors import ConfigError, DataError

# Not rows: a list of data sets is read where it is named itself; the others are what `datasets`
# writes beside the rows that it saves.
_ABOUT = (llamafactory.FILE_NAME, "state.json", "dataset_dict.json")
_SPLIT_FOLDERS = ("train", "validation", "val", "test")


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
        where = f"{field}[{number}]"
        for source, place in _expanded(entry, where, context):
            reading = _reading(source, number, place)
            for file in _files_of(source, place, context):
                first = found.setdefault(file.name, file._replace(reading=reading))
                _require_same(first, reading)
    return [found[name] for name in sorted(found)]


def commits(context: Context) -> dict[str, Decision]:
    """The commit of every source that is on Hugging Face."""
    found: dict[str, Decision] = {}
    for number, entry in enumerate(context.config.dataset.entries()):
        for source, _ in _expanded(entry, f"dataset.sources[{number}]", context):
            if source.hub is not None:
                at = hub.commit(source, context.workspace.hub)
                reason = f"{source.revision or 'main'}, settled at its first use"
                found[f"commit of hf:{source.hub}"] = Decision(value=at, reason=reason)
    return found


def _expanded(entry: Source, where: str, context: Context) -> list[tuple[Source, str]]:
    """A source, or those of the list that it is; each with its place for errors."""
    if not indexes.is_index(entry):
        return [(entry, where)]
    (name,) = entry.paths
    path = context.resolve(name, field=f"{where}.path")
    if not path.is_file():
        raise DataError("no such file", where=name, hint=f"check {where}.path")
    if entry.format or entry.columns or entry.roles:
        raise ConfigError(
            f"{name} says itself how its data sets are read",
            where=where,
            hint="leave out format, columns and roles here",
        )
    members = indexes.read(entry, path, lambda name: (context.workspace.root / name).exists())
    return [(member, f"{where}: {member.label} of {name}") for member in members]


def _reading(source: Source, number: int, where: str) -> Reading:
    columns = mapping.of(source.columns, source.roles, source.format, where)
    return Reading(number, source.format, columns, where)


def _files_of(source: Source, where: str, context: Context) -> list[SourceFile]:
    if source.hub is not None:
        return [
            SourceFile(file.path, file.name, split_of(Path(file.split)))
            for file in hub.files(source, context.workspace.hub, where)
        ]
    return find(
        source.paths,
        resolve=lambda path: context.resolve(path, field=where),
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
        files = [file for file in files if file.name not in _ABOUT]
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
    """The split that a file's name or folder promises: `gsm8k_test.jsonl`, `test/a.jsonl`.

    The name decides if both do; a folder counts only inside the workspace.
    """
    words = re.split(r"[^a-z]+", path.name.lower().partition(".")[0])
    named = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    if named:
        return named[-1]
    inside = not path.is_absolute() and ".." not in path.parts
    return SPLIT_NAMES[path.parent.name] if inside and _in_split(path) else NO_SPLIT


def _in_split(path: Path) -> bool:
    return path.parent.name in _SPLIT_FOLDERS
