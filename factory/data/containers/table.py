"""Tables: `.csv`, `.tsv`, `.parquet`, `.arrow`.

Rows are numbered from 1. Empty cells are missing fields. Parquet and Arrow are read in batches
by pyarrow, which keeps nested columns (messages, tools) as they are.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from factory import storage
from factory.data.containers.compressed import opened
from factory.data.parse import Parsed
from factory.data.rejection import Rejected
from factory.errors import ConfigError, DataError

BATCH_ROWS = 256


class RowBlock(NamedTuple):
    """Rows that are parsed already, from number `first` on."""

    first: int
    values: list[dict[str, Any] | Rejected]

    def rows(self) -> Iterator[Parsed]:
        """The rows; there is no JSON text behind them."""
        for number, value in enumerate(self.values, self.first):
            yield number, b"", value

    def text(self) -> bytes:
        """Nothing."""
        return b""

    def place(self) -> bytes:
        """Rows are numbered from 1."""
        return b":%d"

    def line(self, number: int) -> int:
        """The number itself."""
        return number

    def blocks(self) -> Iterator[RowBlock]:
        """Itself."""
        yield self


def separated(path: Path, max_line_bytes: int) -> Iterator[RowBlock]:
    """Read a `.csv` or `.tsv` file with a header."""
    dialect = "excel-tab" if ".tsv" in path.suffixes else "excel"
    csv.field_size_limit(min(max_line_bytes, sys.maxsize))
    with opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="strict", newline="")
        reader = csv.reader(text, dialect, strict=True)
        try:
            header = next(reader, [])
            yield from _in_blocks(_cells(header, cells) for cells in reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"not valid CSV: {error}", where=f"{path}:{reader.line_num}") from None


def _cells(header: list[str], cells: list[str]) -> dict[str, Any] | Rejected:
    if len(cells) != len(header):
        return Rejected("wrong_format", f"{len(cells)} cells under {len(header)} column names")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}


def columnar(path: Path, _max_line_bytes: int) -> Iterator[RowBlock]:
    """Read a `.parquet` or `.arrow` file, batch by batch."""
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(
            f"{path.suffix} files need the package pyarrow",
            where="dataset.sources",
            hint="pip install 'factory[data]'",
        ) from None
    with storage.open_regular(path) as file:
        try:
            if path.suffix.lower() == ".parquet":
                batches: Any = parquet.ParquetFile(file).iter_batches(BATCH_ROWS)
            else:
                batches = _arrow_batches(arrow, file)
            yield from _in_blocks(_present(row) for batch in batches for row in batch.to_pylist())
        except arrow.ArrowInvalid as error:
            raise DataError(f"damaged: {error}", where=str(path)) from None


def _arrow_batches(arrow: Any, file: BinaryIO) -> Iterator[Any]:
    """Record batches of an Arrow file, or of a stream as `datasets` writes it."""
    try:
        reader = arrow.ipc.open_file(file)
    except arrow.ArrowInvalid:
        file.seek(0)
        yield from arrow.ipc.open_stream(file)
        return
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def _present(value: Any) -> Any:
    """A row without the nulls that a table has to hold for missing fields."""
    if type(value) is dict:
        return {name: _present(child) for name, child in value.items() if child is not None}
    return [_present(child) for child in value] if type(value) is list else value


def _in_blocks(rows: Iterator[dict[str, Any] | Rejected]) -> Iterator[RowBlock]:
    first = 1
    while batch := list(islice(rows, BATCH_ROWS)):
        yield RowBlock(first, batch)
        first += len(batch)
