"""What a GGUF file really holds, read with llama.cpp's own `gguf` library."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from factory import storage
from factory.errors import DataError
from factory.export.report import Tensors

# Rows that are dequantized at a time: bounds memory to some hundred MB for the widest models.
ROWS_AT_ONCE = 4096
END_TOKEN = "tokenizer.ggml.eos_token_id"
CHAT_TEMPLATE = "tokenizer.chat_template"


def inspect(path: Path) -> Tensors:
    """Read every tensor of a GGUF: its type, and whether all its values are finite."""
    reader = _open(path)
    return Tensors(
        types=dict(sorted(Counter(tensor.tensor_type.name for tensor in reader.tensors).items())),
        not_finite=[tensor.name for tensor in reader.tensors if not _is_finite(tensor)],
        end_token_id=_field(reader, END_TOKEN),
    )


def chat_template(path: Path) -> str | None:
    """The Jinja template inside a GGUF, or None."""
    text: str | None = _field(_open(path), CHAT_TEMPLATE)
    return text


def _open(path: Path) -> Any:
    from gguf import GGUFReader

    storage.open_regular(path).close()
    try:
        return GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"not a readable GGUF file ({type(error).__name__}: {error})",
            where=str(path),
            hint="make it again: python -m factory run finetune --force",
        ) from None


def _field(reader: Any, name: str) -> Any:
    field = reader.get_field(name)
    return None if field is None else field.contents()


def _is_finite(tensor: Any) -> bool:
    import numpy as np
    from gguf.quants import dequantize

    data = tensor.data.reshape(-1, tensor.data.shape[-1])
    for start in range(0, len(data), ROWS_AT_ONCE):
        values = dequantize(data[start : start + ROWS_AT_ONCE], tensor.tensor_type)
        if not np.isfinite(values).all():
            return False
    return True
