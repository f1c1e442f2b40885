"""The pinned release: download its source distribution, verify it, unpack it."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from factory import storage
from factory.errors import FactoryError


class KitError(FactoryError):
    """llama.cpp could not be fetched, built, installed or used."""


@dataclass(frozen=True)
class Release:
    """One release of llama-cpp-python and the llama.cpp commit inside it."""

    version: str
    sdist_sha256: str
    llama_cpp_commit: str

    @property
    def sdist_name(self) -> str:
        """File name of the source distribution."""
        return f"llama_cpp_python-{self.version}.tar.gz"


# To move to another release, change all three together and rerun the tests: the edits that
# build.py makes to its files fail closed when the text they expect is not there.
PINNED = Release(
    version="0.3.36",
    sdist_sha256="832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
    llama_cpp_commit="0c1e57098bba43ac29e6e3b677cdceebdd22334f",
)


def fetch(folder: Path, release: Release = PINNED) -> Path:
    """Return the verified source distribution in `folder`, downloading it if it is not there.

    pip does the download, so its own configuration (index, proxy, certificates) is honoured.
    """
    path = folder / release.sdist_name
    if not path.exists():
        _download(folder, release)
    verify(path, release)
    return path


def verify(path: Path, release: Release = PINNED) -> None:
    """Raise KitError, and remove the file, unless it is exactly the pinned distribution."""
    if not path.is_file():
        raise KitError("pip reported success but left no such file", where=str(path))
    actual = storage.sha256_file(path)
    if actual != release.sdist_sha256:
        path.unlink()
        raise KitError(
            f"sha256 is {actual}, expected {release.sdist_sha256}; the file was removed",
            where=str(path),
            hint="run it again; if it repeats, your package index serves an altered file: stop",
        )


def _download(folder: Path, release: Release) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--no-binary", "llama-cpp-python", "--dest", str(folder)),
        f"llama-cpp-python=={release.version}",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        output = _last_lines(done.stdout)
        raise KitError(
            f"pip could not download llama-cpp-python {release.version}:\n{output}",
            hint=f"check the network and pip's settings, or put {release.sdist_name} into {folder}",
        )


def _last_lines(text: str, count: int = 8) -> str:
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-count:])


def unpack(sdist: Path, folder: Path, release: Release = PINNED) -> Path:
    """Unpack a verified distribution below `folder` and return its top folder."""
    with tarfile.open(sdist) as archive:
        # The safe filter came with 3.10.12; older ones unpack what the hash has vouched for.
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        archive.extractall(folder)
    tree = folder / f"llama_cpp_python-{release.version}"
    if not tree.is_dir():
        raise KitError(f"has no folder {tree.name}: {os.listdir(folder)}", where=str(sdist))
    return tree
