"""The tamper-evident chain: gate files, and the file hashes in them.

A gate file is the only record that a stage is done. It carries the hash of every file that the
stage read and wrote and a seal over itself, so that one changed byte anywhere is found.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from factory import priority, storage
from factory.artifacts import FileRecord, GateFile
from factory.errors import DataError, StaleInput
from factory.workspace import Workspace

SEAL = "seal"


def record(path: Path, sha256: str | None = None) -> FileRecord:
    """Hash one file and note which inode it was; DataError if it is not a regular file.

    Whoever hashed the bytes while writing them passes `sha256`: the file is not read again.
    """
    sha256 = sha256 or storage.sha256_file(path)
    return _record(os.stat(path), sha256)


def _record(status: os.stat_result, sha256: str) -> FileRecord:
    return FileRecord(
        sha256=sha256,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        inode=status.st_ino,
    )


@contextmanager
def recording(files: Mapping[str, Path]) -> Iterator[Callable[[], dict[str, FileRecord]]]:
    """Record files by name, in a thread beside what the block does; the yielded call waits.

    The records hold for the whole time from the block's beginning to the end of the hashing.
    Raises DataError at the beginning for what is no regular file; the call raises StaleInput for a
    file that did not stay as it was until it was hashed.
    """
    from concurrent.futures import ThreadPoolExecutor  # on use: `status` only reads

    found = {name: (path, storage.status(path)) for name, path in sorted(files.items())}
    stop = threading.Event()
    with ThreadPoolExecutor(1, "hash", initializer=priority.step_back) as thread:
        hashed = {name: thread.submit(_record_unchanged, *found[name], stop) for name in found}
        try:
            yield lambda: {name: record.result() for name, record in hashed.items()}
        finally:
            stop.set()
            thread.shutdown(cancel_futures=True)


def _record_unchanged(path: Path, status: os.stat_result, stop: threading.Event) -> FileRecord:
    """Hash a file that is to be still as `status` says."""
    known = _record(status, storage.sha256_file(path, stop))
    if not untouched(path, known):
        raise StaleInput(
            "this input changed while it was hashed", where=str(path), hint="run the stage again"
        )
    return known


def record_all(
    files: Mapping[str, Path], known: Mapping[Path, FileRecord] | None = None
) -> dict[str, FileRecord]:
    """Record every file, by name: as `known` if it is the very inode still, else hashed."""
    known = known or {}
    return {
        name: known[path] if path in known and untouched(path, known[path]) else record(path)
        for name, path in sorted(files.items())
    }


def untouched(path: Path, known: FileRecord) -> bool:
    """Whether `path` is the very inode that was recorded, unchanged; reads no content."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) == (
        known.size,
        known.mtime_ns,
        known.ctime_ns,
        known.inode,
    )


def difference(
    files: Mapping[str, Path], known: Mapping[str, FileRecord], *, trust_inode: bool
) -> str | None:
    """Say how `files` differ from what was recorded, or None.

    `trust_inode` takes an untouched inode for unchanged content (cheap); without it every byte is
    hashed again.
    """
    for name in sorted(set(known) | set(files)):
        if name not in files:
            return f"{name} is gone"
        if name not in known:
            return f"{name} is new"
        if trust_inode and untouched(files[name], known[name]):
            continue
        try:
            if storage.sha256_file(files[name]) != known[name].sha256:
                return f"{name} has changed"
        except DataError as error:
            return f"{name}: {error.message}"
    return None


def read_gate(workspace: Workspace, stage: str) -> GateFile | None:
    """The gate file of `stage`, or None; StaleInput if it is damaged or was edited."""
    path = workspace.gate_path(stage)
    if not path.exists():
        return None
    hint = f"run the stage again: python -m factory run {stage}"
    try:
        values = storage.read_json(path)
    except DataError as error:
        raise StaleInput(error.message, where=error.where, hint=hint) from None
    if not isinstance(values, dict) or values.pop(SEAL, None) != storage.sha256_json(values):
        raise StaleInput(
            "the gate file was changed after it was written", where=str(path), hint=hint
        )
    return GateFile.model_validate(values)


def write_gate(workspace: Workspace, gate: GateFile) -> None:
    """Write a gate file with its seal: the last act of a stage."""
    values: dict[str, Any] = gate.model_dump(mode="json")
    storage.write_json(
        workspace.gate_path(gate.stage), {**values, SEAL: storage.sha256_json(values)}
    )
