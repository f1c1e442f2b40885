"""Data sets on Hugging Face as files of the workspace, at one commit.

The first use of a branch or tag settles its commit, and which files belong to which split; both are
written to `.factory/hub/NAME/pinned.json`, and from then on nothing asks the network again. The
hub's own cache is used, also without network (HF_HUB_OFFLINE).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from factory import storage
from factory.config import Source
from factory.data.containers import SUFFIXES, reader_of
from factory.errors import ConfigError, DataError

PINNED = "pinned.json"
_ABOUT = ("README.md", "*.yaml", "*.yml")  # says which files make up which split


class HubFile(NamedTuple):
    """One file of a data set, its name in reports and rows, and the split it belongs to."""

    path: Path
    name: str
    split: str


class Pin(NamedTuple):
    """What a source was settled to: the commit, and the files of each split."""

    commit: str
    splits: Mapping[str, list[str]]


def files(source: Source, base: Path, where: str) -> list[HubFile]:
    """The files of a source on the hub, below the folder `base`.

    Raises ConfigError when they cannot be had, with what to do about it.
    """
    folder = _folder(source, base)
    pin = _pinned(source, folder)
    if pin is None or not all(_local(folder, pin, name).is_file() for name in _members(pin)):
        pin = _settle(source, folder, pin.commit if pin else source.revision, where)
    chosen = [source.split] if source.split else list(pin.splits)
    if missing := [split for split in chosen if split not in pin.splits]:
        raise ConfigError(
            f"hf:{source.hub} has no split {missing[0]!r}",
            where=f"{where}.split",
            hint=f"one of: {', '.join(pin.splits)}",
        )
    prefix = f"hf:{source.hub}@{pin.commit}"
    return [
        HubFile(_local(folder, pin, name), f"{prefix}/{name}", split)
        for split in chosen
        for name in pin.splits[split]
    ]


def commit(source: Source, base: Path) -> str | None:
    """The commit that a source is settled to; None before its first use."""
    pin = _pinned(source, _folder(source, base))
    return pin.commit if pin else None


def _folder(source: Source, base: Path) -> Path:
    return base / str(source.hub).replace("/", "--")


def _members(pin: Pin) -> Iterator[str]:
    for names in pin.splits.values():
        yield from names


def _local(folder: Path, pin: Pin, name: str) -> Path:
    return folder / pin.commit / name


def _key(source: Source) -> str:
    """What a pin is for: all fields that decide on commit and files."""
    parts = (source.revision or "main", source.subset or "", *source.data_files)
    return " ".join(parts).strip()


def _pinned(source: Source, folder: Path) -> Pin | None:
    found = _read_pins(folder).get(_key(source))
    return Pin(found["commit"], found["splits"]) if found else None


def _read_pins(folder: Path) -> dict[str, Any]:
    path = folder / PINNED
    if not path.exists():
        return {}
    found = storage.read_json(path)
    return found if isinstance(found, dict) else {}


def _settle(source: Source, folder: Path, revision: str | None, where: str) -> Pin:
    """Fetch the data set, find out which files its splits are, and put them into the workspace."""
    snapshot = _snapshot(source, revision, where)
    splits = _splits(source, snapshot, where)
    pin = Pin(snapshot.name, splits)
    for name in _members(pin):
        _put(snapshot / name, _local(folder, pin, name))
    pins = _read_pins(folder) | {_key(source): {"commit": pin.commit, "splits": splits}}
    storage.write_json(folder / PINNED, pins)
    return pin


def _snapshot(source: Source, revision: str | None, where: str) -> Path:
    """The folder of the hub's cache that holds the data set; its name is the commit."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError:
        raise _needs_package("huggingface_hub", where) from None
    wanted = source.data_files or [f"*{suffix}" for suffix in SUFFIXES]
    try:
        return Path(
            snapshot_download(
                str(source.hub),
                repo_type="dataset",
                revision=revision,
                allow_patterns=[*wanted, *_ABOUT],
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        asked = f" --revision {revision}" if revision else ""
        raise ConfigError(
            f"hf:{source.hub} cannot be had: {str(error).splitlines()[0]}",
            where=where,
            hint="check the name, the network, and HF_TOKEN for gated data; without network, fill "
            f"the cache elsewhere (hf download {source.hub} --repo-type dataset{asked}) and set "
            "HF_HOME to it",
        ) from None


def _splits(source: Source, snapshot: Path, where: str) -> dict[str, list[str]]:
    """The files of each split, as `datasets` tells them from its card and names."""
    try:
        import datasets
    except ImportError:
        raise _needs_package("datasets", where) from None
    try:
        with _quiet(datasets):
            builder = datasets.load_dataset_builder(
                str(snapshot), name=source.subset, data_files=source.data_files or None
            )
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        raise ConfigError(
            f"hf:{source.hub}: {' '.join(str(error).splitlines()[:2])}".replace(
                str(snapshot), "it"
            ),
            where=f"{where}.subset" if source.subset else where,
            hint="name its configuration in subset, or its files in data_files",
        ) from None
    found = {
        str(split): [_member(str(name), snapshot, where) for name in names]
        for split, names in (builder.config.data_files or {}).items()
    }
    unread = [name for names in found.values() for name in names if not reader_of(Path(name))]
    if unread or not found:
        raise ConfigError(
            f"hf:{source.hub}: no row can be read from {unread[0] if unread else 'it'}",
            where=where,
            hint=f"rows are read from {', '.join(SUFFIXES)}: name such files in data_files",
        )
    return found


def _member(name: str, snapshot: Path, where: str) -> str:
    """A file of the data set by its name there; a card that names others is refused."""
    path = Path(os.path.normpath(name))
    if not path.is_relative_to(snapshot):
        raise ConfigError(
            "the data set's card names a file that is not its own",
            where=where,
            hint="name its own files in data_files",
        )
    return path.relative_to(snapshot).as_posix()


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """No progress bars, no chatter: what matters is told by the stage."""
    level = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity_error()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)


def _put(blob: Path, path: Path) -> None:
    """Link a file of the cache into the workspace, or copy it where that cannot be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    real = blob.resolve()
    try:
        os.link(real, path)
    except OSError:
        try:
            shutil.copyfile(real, path)
        except OSError as error:
            raise DataError(f"cannot be copied: {error}", where=str(real)) from None


def _needs_package(name: str, where: str) -> ConfigError:
    return ConfigError(
        f"data sets on Hugging Face need the package {name}",
        where=where,
        hint="pip install 'factory[train]'",
    )
