"""Files: hashed as streams, written atomically, read with bounds.

Everything the factory writes goes through `atomic_write` (temporary file in the same folder,
fsync, rename), so that a reader or a crash sees the old file or the new one and nothing between.
Everything it reads is opened with `open_regular`, which refuses symlinks, FIFOs and devices.
hashlib and tempfile are imported on use: `status` reads only, and starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO

from factory.errors import ConfigError, DataError, DiskFull, Interrupted, means_disk_full

CHUNK_BYTES = 1 << 20
TEMPORARY = ".tmp"


def open_regular(path: Path) -> io.BufferedReader:
    """Open `path` for reading if it is a regular file; raise DataError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError("no such file", where=str(path)) from None
    except OSError as error:
        raise DataError(
            f"cannot be opened ({error.strerror})",
            where=str(path),
            hint="symbolic links are refused: put the file itself there",
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError("not a regular file", where=str(path))
    return os.fdopen(descriptor, "rb")


def status(path: Path) -> os.stat_result:
    """The status of a regular file; DataError for anything else."""
    with open_regular(path) as file:
        return os.fstat(file.fileno())


def sha256_file(path: Path, stop: threading.Event | None = None) -> str:
    """Return the hex SHA-256 of a regular file, read in 1 MiB pieces; Interrupted if `stop` is set.

    Both reading and hashing leave other threads the interpreter.
    """
    import hashlib

    digest = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with open_regular(path) as file:
        while size := file.readinto(buffer):
            if stop is not None and stop.is_set():
                raise Interrupted("hashing was stopped", where=str(path))
            digest.update(buffer[:size])
    return digest.hexdigest()


def sha256_json(value: Any) -> str:
    """Return the hex SHA-256 of the canonical JSON of `value` (sorted keys, no spaces)."""
    import hashlib

    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that replaces `path` when the block ends without an error."""
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    start = f".{path.name[:100]}."
    _remove_abandoned(path.parent, start)
    descriptor, name = tempfile.mkstemp(
        dir=path.parent, prefix=f"{start}{os.getpid()}-", suffix=TEMPORARY
    )
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and means_disk_full(error):
            raise DiskFull(path) from None
        raise
    _sync_folder(path.parent)


def _remove_abandoned(folder: Path, start: str) -> None:
    """Delete what killed processes left of earlier attempts to write the same file."""
    for name in os.listdir(folder):
        if name.startswith(start) and name.endswith(TEMPORARY):
            pid, dash, _ = name.removeprefix(start).partition("-")
            if dash and pid.isdigit() and not is_alive(int(pid)):
                (folder / name).unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether a process of that number exists, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def dump_json(value: Any) -> str:
    """Render `value` as the factory writes JSON: indented, UTF-8, never NaN or Infinity."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` (UTF-8) atomically."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Replace `path` by the JSON of `value` atomically; ValueError on NaN or Infinity."""
    write_text(path, dump_json(value))


def write_jsonl(file: IO[bytes], value: Any) -> None:
    """Append one compact JSON line to an open binary file."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    file.write(text.encode("utf-8", "replace") + b"\n")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def read_json(path: Path) -> Any:
    """Parse a JSON file strictly (UTF-8, no NaN); DataError names file, line and column."""
    with open_regular(path) as file:
        raw = file.read()
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise DataError(f"not valid JSON: {error.msg}", where=where) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"not valid JSON: {error}", where=str(path)) from None


def read_jsonl(path: Path) -> Iterator[Any]:
    """Yield the values of a JSON-lines file the factory itself wrote; DataError names the line."""
    with open_regular(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"not valid JSON: {error}", where=f"{path}:{number}") from None


def list_files(folder: Path) -> list[Path]:
    """Return the regular files below `folder`, sorted, without hidden ones; refuse symlinks."""
    found = []
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                found.append(Path(root, name))
    return sorted(found)


def inside(root: Path, path: str, *, field: str, allowed: tuple[Path, ...] = ()) -> Path:
    """Resolve a configured `path` against `root`; ConfigError if it leaves `root` and `allowed`.

    `~` is not expanded, and the check is made on the real path, so neither `..`, a sibling with
    the same prefix nor a symbolic link leads outside.
    """
    if "\0" in path or not path.strip():
        raise ConfigError("not a usable path", where=field)
    resolved = Path(os.path.realpath(root / path))
    bases = (Path(os.path.realpath(root)), *(Path(os.path.realpath(base)) for base in allowed))
    if any(resolved.is_relative_to(base) for base in bases):
        return resolved
    raise ConfigError(
        f"{path!r} is outside the workspace",
        where=field,
        hint="move it into the workspace, or list its folder in project.allowed_paths",
    )
