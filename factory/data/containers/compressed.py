"""`.gz` and `.zst` files: the rows of what is inside, unpacked as it is read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from factory import storage
from factory.errors import ConfigError, DataError

SUFFIXES = (".gz", ".zst")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, unpacking it if its name says so; DataError if it is damaged."""
    unpack = _UNPACKERS.get(path.suffix.lower())
    with storage.open_regular(path) as file:
        if unpack is None:
            yield file
            return
        try:
            with unpack(file) as inner:
                yield inner
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"damaged: {error}", where=str(path)) from None


def _unpack_gzip(file: BinaryIO) -> Any:
    return gzip.GzipFile(fileobj=file)


def _unpack_zstandard(file: BinaryIO) -> Any:
    try:
        import zstandard
    except ImportError:
        raise ConfigError(
            ".zst files need the package zstandard",
            where="dataset.sources",
            hint="pip install 'factory[data]'",
        ) from None
    return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file))


_UNPACKERS: dict[str, Callable[[BinaryIO], Any]] = {
    ".gz": _unpack_gzip,
    ".zst": _unpack_zstandard,
}
