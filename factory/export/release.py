"""The release folder: filled beside its place, checksummed, and swapped in as a whole.

    <name>-v<x.y.z>/ adapter/ merged/ gguf/ Modelfile README.md metadata.json verification.json
                     SHA256SUMS

What adapter, merged and the GGUF files are called is up to `project.release_name`.

A release that is there already is replaced if it is intact, that is, exactly what the factory
wrote; one that was edited since is set aside under another name and never deleted.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from factory import storage
from factory.errors import DataError, FactoryError
from factory.naming import ReleaseNames

CHECKSUMS = "SHA256SUMS"
# Weights as safetensors, everything else as text: no pickle, which runs code when it is loaded
# (and training_args.bin holds the hub token in plain text).
SHIPPED_SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model")
# PEFT and Unsloth write a card of their own into the folder; the release has one.
LEFT_OUT = ("README.md", "training_args.bin")


@dataclass(frozen=True)
class Plan:
    """Which file ships under which name, and which files stay behind."""

    copies: Mapping[str, Path]
    left_out: list[str]

    @property
    def size(self) -> int:
        """Bytes to copy."""
        return sum(path.stat().st_size for path in self.copies.values())


def plan(adapter: Path, merged: Path, gguf: Mapping[str, Path], names: ReleaseNames) -> Plan:
    """List what ships under which of `names`; `gguf` maps the quantization to the file.

    Raises DataError, naming the command that makes it, for an input that is not there.
    """
    folders = {names.merged: merged}
    needed = [merged / "config.json", *gguf.values()]
    if names.adapter is not None:
        folders[names.adapter] = adapter
        needed.append(adapter / "adapter_model.safetensors")
    for path in needed:
        if not path.is_file():
            raise DataError(
                "no such file, so there is nothing to release",
                where=str(path),
                hint="run: python -m factory run finetune --force",
            )
    copies: dict[str, Path] = {}
    left_out: list[str] = []
    for name, folder in folders.items():
        for path in storage.list_files(folder):
            inside = f"{name}/{path.relative_to(folder).as_posix()}"
            if path.suffix in SHIPPED_SUFFIXES and path.name not in LEFT_OUT:
                copies[inside] = path
            else:
                left_out.append(inside)
    copies |= {names.gguf[name]: path for name, path in gguf.items()}
    return Plan(copies, sorted(left_out))


def require_space(needed: int, folder: Path) -> None:
    """Raise FactoryError unless the disk of `folder` can take `needed` more bytes."""
    free = shutil.disk_usage(_existing(folder)).free
    if free < needed:
        raise FactoryError(
            f"a release copies {_gigabytes(needed)}, and only {_gigabytes(free)} are free there",
            where=str(folder),
            hint="make room, or drop quantizations from save.gguf_quantization",
        )


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB"


@contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `folder` to fill; it is gone afterwards unless swapped in."""
    work = folder.with_name(f".{folder.name}.building")
    # The workspace lock is held: whatever is there already is what a killed run left.
    shutil.rmtree(work, ignore_errors=True)
    _restore(folder)
    work.mkdir(parents=True)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _retired(folder: Path) -> Path:
    """Where a release waits while its successor moves in."""
    return folder.with_name(f".{folder.name}.replaced")


def _restore(folder: Path) -> None:
    """Undo a swap that was killed half-way: the old release comes back, or goes at last."""
    retired = _retired(folder)
    if retired.exists() and not folder.exists():
        os.replace(retired, folder)
    shutil.rmtree(retired, ignore_errors=True)


def copy(plan: Plan, work: Path) -> dict[str, str]:
    """Copy what ships into `work`; return name -> sha256 of what was read.

    Copies, not hard links: whoever edits a release in place must not edit a checkpoint.
    """
    return {name: _copy_hashed(path, work / name) for name, path in sorted(plan.copies.items())}


def _copy_hashed(source: Path, target: Path) -> str:
    digest = hashlib.sha256()
    with storage.open_regular(source) as read, storage.atomic_write(target) as write:
        while chunk := read.read(storage.CHUNK_BYTES):
            digest.update(chunk)
            write.write(chunk)
    return digest.hexdigest()


def write_checksums(work: Path, copied: Mapping[str, str]) -> None:
    """Hash every file of `work` and write SHA256SUMS, for `sha256sum -c` inside the folder.

    Raises FactoryError if a copy does not read back as what was copied.
    """
    sums = _hash_all(work)
    for name, sha256 in copied.items():
        if sums.get(name) != sha256:
            raise FactoryError("reads back differently than it was written", where=name)
    storage.write_text(work / CHECKSUMS, _sums(sums))


def rewrite(folder: Path, name: str, text: str) -> list[Path]:
    """Replace one text of a finished release and its checksum; return the files that changed.

    Only that checksum is new: whatever else was changed since stays visible.
    """
    path, sums = folder / name, folder / CHECKSUMS
    if _read(path) == text:
        return []
    listed = dict(_parse(_read(sums)))
    storage.write_text(path, text)
    storage.write_text(sums, _sums({**listed, name: storage.sha256_file(path)}))
    return [path, sums]


def _sums(hashes: Mapping[str, str]) -> str:
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(hashes.items()))


def _hash_all(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): storage.sha256_file(path)
        for path in storage.list_files(folder)
        if path != folder / CHECKSUMS
    }


def swap_in(work: Path, folder: Path) -> str:
    """Make `work` the release `folder`; return what became of a folder that was there."""
    if not folder.exists():
        os.replace(work, folder)
        return "a new release"
    if is_intact(folder):
        if _read(folder / CHECKSUMS) == _read(work / CHECKSUMS):
            return "the same content as before"
        retired = _retired(folder)
        os.replace(folder, retired)
        os.replace(work, folder)
        shutil.rmtree(retired)
        return "replaces an earlier export of this version"
    kept = _free_name(folder)
    os.replace(folder, kept)
    os.replace(work, folder)
    return f"the folder there was not as the factory wrote it, and is kept as {kept.name}"


def is_intact(folder: Path) -> bool:
    """Whether a release holds exactly the files, with the content, that its SHA256SUMS lists."""
    try:
        listed = dict(_parse(_read(folder / CHECKSUMS)))
        return listed == _hash_all(folder)
    except (DataError, ValueError):
        return False


def _read(path: Path) -> str:
    with storage.open_regular(path) as file:
        return file.read().decode("utf-8")


def _parse(text: str) -> Iterable[tuple[str, str]]:
    """Name and sha256 of each line."""
    for line in text.splitlines():
        sha256, name = line.split("  ", 1)
        yield name, sha256


def _free_name(folder: Path) -> Path:
    number = 1
    while (kept := folder.with_name(f"{folder.name}.kept-{number}")).exists():
        number += 1
    return kept
