"""Where kits are kept, and which of them fits this machine.

`${FACTORY_CACHE:-${XDG_CACHE_HOME:-~/.cache}/factory}/llama.cpp/<version>-<build>-<parts>/`,
where `<build>` stands for everything that decides the compiled code (release, compile options,
CPU, C library) and `<parts>` for the factory's own files in the kit. Python's version is not in
it: the binding is ctypes over shared libraries, its wheel is tagged `py3-none`.
"""

from __future__ import annotations

import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from factory import storage
from factory.kit.source import PINNED, KitError, Release

MANIFEST = "kit.json"
# The multimodal library is not used here and takes a quarter of the compile time. The code for AMX
# is left out: GCC 12 drops stores to the tile configuration in it (its `_tile_loadconfig` names the
# first 8 of 64 bytes as read), and the first batch of a Q8_0 model ends with a segmentation fault.
# The user's own CMAKE_ARGS are ignored: a kit has to be found again by what is written here.
CMAKE_ARGS = (
    "-DLLAVA_BUILD=OFF",
    "-DCMAKE_C_FLAGS=-U__AMX_INT8__",
    "-DCMAKE_CXX_FLAGS=-U__AMX_INT8__",
)
# Raise it when build.py compiles the same release differently.
BUILD_REVISION = 1
# Everything in this package that shapes a kit without compiling.
OWN_PARTS = ("build.py", "pretokenizer.py", "quantize.py")


@dataclass(frozen=True)
class Kit:
    """A complete kit on disk."""

    path: Path
    version: str
    commit: str

    @property
    def converter(self) -> Path:
        """llama.cpp's Hugging Face to GGUF converter (a script)."""
        return self.path / "convert_hf_to_gguf.py"

    @property
    def quantizer(self) -> Path:
        """The executable `llama-quantize INPUT.gguf OUTPUT.gguf TYPE [THREADS]`."""
        return self.path / "llama-quantize"

    @property
    def models(self) -> Path:
        """llama.cpp's reference vocabularies (`ggml-vocab-*.gguf`) and their test vectors."""
        return self.path / "models"

    @property
    def templates(self) -> Path:
        """Real chat templates (`*.jinja`)."""
        return self.models / "templates"

    @property
    def wheels(self) -> list[Path]:
        """`llama_cpp_python` and `gguf`, built from the same sources."""
        return sorted((self.path / "wheels").glob("*.whl"))

    def environment(self) -> dict[str, str]:
        """Variables under which Unsloth and `llama-quantize` use this kit and nothing else.

        Unsloth reads them when it is imported, so they have to be set for a child process.
        """
        return {
            "UNSLOTH_LLAMA_CPP_PATH": str(self.path),
            "UNSLOTH_LLAMA_CPP_OFFLINE": "1",
            "UNSLOTH_AUTO_INSTALL": "0",
            # One kit serves many environments: the quantizer runs in the caller's.
            "FACTORY_PYTHON": sys.executable,
        }


def root() -> Path:
    """The folder that holds all kits of this user."""
    configured = os.environ.get("FACTORY_CACHE")
    cache = configured or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(cache).expanduser().absolute()
    except RuntimeError:  # no HOME, and a user id that no file knows
        raise KitError(
            "this user has no home folder to keep the kit in", hint="set FACTORY_CACHE to a folder"
        ) from None
    return folder / "llama.cpp" if configured else folder / "factory" / "llama.cpp"


def cpu_features() -> list[str]:
    """The instruction sets of this CPU, sorted. The compiler builds for exactly these."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return [platform.processor()]
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return sorted(set(value.split()))
    return [platform.processor()]


def build_key(release: Release = PINNED) -> str:
    """Key of what decides the compiled code; a cache moved to another CPU is not found."""
    return storage.sha256_json(
        {
            "sdist": release.sdist_sha256,
            "cmake": CMAKE_ARGS,
            "revision": BUILD_REVISION,
            "system": platform.system(),
            "machine": platform.machine(),
            "libc": platform.libc_ver(),
            "cpu": cpu_features(),
        }
    )[:12]


def parts_key() -> str:
    """Key of the factory's own files in a kit; changing one does not recompile llama.cpp."""
    folder = Path(__file__).parent
    return storage.sha256_json([(folder / name).read_text("utf-8") for name in OWN_PARTS])[:8]


def kit_path(release: Release = PINNED) -> Path:
    """Where the kit for this machine is, or would be."""
    return root() / f"{release.version}-{build_key(release)}-{parts_key()}"


def find(release: Release = PINNED) -> Kit | None:
    """The kit that fits this machine, or None. A folder without a manifest does not count."""
    path = kit_path(release)
    if not (path / MANIFEST).is_file():
        return None
    return Kit(path=path, version=release.version, commit=release.llama_cpp_commit)


def require() -> Kit:
    """The kit that fits this machine; KitError says how to get it."""
    kit = find()
    if kit is None:
        raise KitError(
            "no llama.cpp for this machine",
            where=str(kit_path()),
            hint="python -m factory.kit install   (builds it once, a few minutes)",
        )
    return kit


@contextmanager
def building() -> Iterator[Path]:
    """Hold the one build lock of the cache; yields the folder. The kernel frees a dead holder's."""
    folder = root()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
