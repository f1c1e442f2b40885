"""Collect what the gate of finetune judges: statistics, tensors, and whether files can be read."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from factory import pipeline, storage, tensors
from factory.context import Context
from factory.errors import DataError, FactoryError
from factory.training.gate import Evidence

GGUF_MAGIC = b"GGUF"
GGUF_VERSIONS = (2, 3)


def collect(context: Context) -> Evidence:
    """Read everything once; what cannot be read is named, never skipped."""
    unreadable: list[str] = []
    stats = _try(unreadable, lambda: _statistics(context.workspace.training_stats))
    full = context.config.model.full_finetuning
    merged, adapter = context.path("save.merged_path"), context.path("save.lora_path")
    not_finite = [_try(unreadable, lambda: tensors.first_not_finite(merged))]
    if full:
        changed = _try(unreadable, lambda: _differs_from_base(context, merged))
    else:
        not_finite.append(_try(unreadable, lambda: tensors.first_not_finite(adapter)))
        # PEFT starts every lora_B (and every DoRA difference) at zero.
        changed = _try(unreadable, lambda: tensors.any_nonzero(adapter, ".lora_B."))
    for quantization in context.config.save.gguf_quantization:
        path = pipeline.gguf_file(context, quantization)
        _try(unreadable, lambda path=path: require_gguf(path))  # type: ignore[misc]
    found = [name for name in not_finite if name]
    return Evidence(stats, found[0] if found else None, changed, unreadable)


def _try(unreadable: list[str], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except (FactoryError, OSError, ValueError) as error:
        unreadable.append(str(error).splitlines()[0])
        return None


def _statistics(path: Path) -> dict[str, Any]:
    stats = storage.read_json(path)
    if not isinstance(stats, dict):
        raise DataError("not a JSON object", where=str(path))
    return stats


def _differs_from_base(context: Context, merged: Path) -> bool:
    from factory import base_model

    base = base_model.resolve(context).folder
    return tensors.differ(base, merged)


def require_gguf(path: Path) -> None:
    """DataError unless `path` begins as a GGUF file with tensors (the export stage runs it)."""
    with storage.open_regular(path) as file:
        head = file.read(24)
    if len(head) < 24 or head[:4] != GGUF_MAGIC:
        raise DataError("not a GGUF file", where=str(path))
    version, count, _ = struct.unpack("<IQQ", head[4:])
    if version not in GGUF_VERSIONS or not count:
        raise DataError(f"GGUF version {version} with {count} tensors", where=str(path))
