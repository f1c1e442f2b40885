"""Reading safetensors files without torch: headers, sizes, and whether every number is finite.

Format: 8 bytes little-endian header length, a JSON header `{name: {dtype, shape, data_offsets}}`,
then the data (https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from factory.errors import DataError

MAX_HEADER_BYTES = 100_000_000
CHUNK = 1 << 24
# dtype -> (numpy view, mask of the exponent bits); all exponent bits set means NaN or infinity.
FLOATS: dict[str, tuple[str, int]] = {
    "F64": ("<u8", 0x7FF0_0000_0000_0000),
    "F32": ("<u4", 0x7F80_0000),
    "F16": ("<u2", 0x7C00),
    "BF16": ("<u2", 0x7F80),
}
BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header; `begin` and `end` count from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


def read_header(path: Path) -> list[Tensor]:
    """The tensors of a safetensors file; DataError if it is truncated or not one."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise ValueError("the header is longer than the format allows")
            header: dict[str, Any] = json.loads(file.read(length))
        tensors = [
            Tensor(
                name=name,
                dtype=entry["dtype"],
                shape=tuple(entry["shape"]),
                begin=8 + length + entry["data_offsets"][0],
                end=8 + length + entry["data_offsets"][1],
            )
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise DataError(f"not a safetensors file ({error})", where=str(path)) from None
    _require_whole(path, tensors)
    return tensors


def _require_whole(path: Path, tensors: list[Tensor]) -> None:
    size = path.stat().st_size
    if max((tensor.end for tensor in tensors), default=0) != size:
        raise DataError(f"truncated: {size} bytes are not what its header says", where=str(path))
    for tensor in tensors:
        width = BYTES.get(tensor.dtype, 1)
        if tensor.end - tensor.begin != tensor.elements * width:
            raise DataError(f"tensor {tensor.name} has the wrong size", where=str(path))


def folder_tensors(folder: Path) -> dict[Path, list[Tensor]]:
    """Headers of all safetensors files in a model folder; DataError if there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise DataError("no safetensors file", where=str(folder))
    return {file: read_header(file) for file in files}


def parameters(folder: Path) -> int:
    """Number of parameters of the model in `folder`."""
    return sum(tensor.elements for found in folder_tensors(folder).values() for tensor in found)


def first_not_finite(folder: Path) -> str | None:
    """The name of the first tensor in `folder` that holds NaN or infinity, or None."""
    for path, tensors in folder_tensors(folder).items():
        for tensor in tensors:
            if tensor.dtype in FLOATS and not _is_finite(path, tensor):
                return tensor.name
    return None


def _is_finite(path: Path, tensor: Tensor) -> bool:
    view, exponent = FLOATS[tensor.dtype]
    if tensor.elements == 0:
        return True
    data = np.memmap(path, dtype=view, mode="r", offset=tensor.begin, shape=(tensor.elements,))
    return all(
        bool(((data[start : start + CHUNK] & exponent) != exponent).all())
        for start in range(0, tensor.elements, CHUNK)
    )


def differ(one: Path, other: Path) -> bool:
    """Whether a tensor of two model folders differs by more than rounding to 16 bit explains.

    Raises DataError if they share no tensor of the same name and shape.
    """
    ours, theirs = _by_name(one), _by_name(other)
    shared = [
        name for name in ours if name in theirs and ours[name][1].shape == theirs[name][1].shape
    ]
    if not shared:
        raise DataError(f"shares no tensor with {one}", where=str(other))
    return any(_tensor_differs(ours[name], theirs[name]) for name in shared)


Place = tuple[Path, Tensor]


def _by_name(folder: Path) -> dict[str, Place]:
    """Every floating-point tensor of a folder by its name."""
    return {
        tensor.name: (path, tensor)
        for path, found in folder_tensors(folder).items()
        for tensor in found
        if tensor.dtype in FLOATS
    }


def _tensor_differs(one: Place, other: Place) -> bool:
    # bfloat16 keeps 8 bits of a number, so rounding moves it by at most 1/256 of itself.
    tolerance = 0.0 if one[1].dtype == other[1].dtype else 1 / 256
    for start in range(0, one[1].elements, CHUNK):
        ours, theirs = _numbers(one, start), _numbers(other, start)
        if bool((np.abs(ours - theirs) > tolerance * np.abs(ours)).any()):
            return True
    return False


def _numbers(place: Place, start: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """At most CHUNK numbers of a tensor from `start`, as float64."""
    path, tensor = place
    view = FLOATS[tensor.dtype][0]
    stored = np.memmap(path, dtype=view, mode="r", offset=tensor.begin, shape=(tensor.elements,))
    piece = np.array(stored[start : start + CHUNK])
    if tensor.dtype == "BF16":  # the upper half of a float32
        return (piece.astype("<u4") << 16).view("<f4").astype("<f8")
    return piece.view(view.replace("u", "f")).astype("<f8")


def any_nonzero(folder: Path, name_contains: str) -> bool:
    """Whether a tensor whose name contains `name_contains` holds anything but zeros."""
    for path, tensors in folder_tensors(folder).items():
        for tensor in tensors:
            if name_contains in tensor.name and tensor.elements:
                view = FLOATS.get(tensor.dtype, ("<u1", 0))[0]
                data = np.memmap(
                    path, dtype=view, mode="r", offset=tensor.begin, shape=(tensor.elements,)
                )
                # Shifting drops the sign bit: minus zero is zero.
                if bool((data << 1).any()):
                    return True
    return False
