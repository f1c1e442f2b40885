"""Tables: `.csv`, `.tsv`, `.parquet`, `.arrow`.

Rows are numbered from 1. Empty cells are missing fields. Parquet and Arrow are read in batches
by pyarrow, which keeps nested columns (messages, tools) as they are.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from factory import storage
from factory.data.containers.compressed import opened
from factory.data.containers.parsed import BATCH_ROWS, ParsedRows, Row, in_batches
from factory.data.rejection import Rejected
from factory.errors import ConfigError, DataError


def separated(path: Path, max_line_bytes: int) -> Iterator[ParsedRows]:
    """Read a `.csv` or `.tsv` file with a header."""
    dialect = "excel-tab" if ".tsv" in path.suffixes else "excel"
    csv.field_size_limit(min(max_line_bytes, sys.maxsize))
    with opened(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="strict", newline="")
        reader = csv.reader(text, dialect, strict=True)
        try:
            header = next(reader, [])
            yield from in_batches(enumerate((_cells(header, cells) for cells in reader), 1))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"not valid CSV: {error}", where=f"{path}:{reader.line_num}") from None


def _cells(header: list[str], cells: list[str]) -> Row:
    if len(cells) != len(header):
        return Rejected("wrong_format", f"{len(cells)} cells under {len(header)} column names")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell != ""}


def columnar(path: Path, _max_line_bytes: int) -> Iterator[ParsedRows]:
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
            rows = (_present(row) for batch in batches for row in batch.to_pylist())
            yield from in_batches(enumerate(rows, 1))
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
