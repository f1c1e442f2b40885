"""Quantize a GGUF file with f32, f16 or bf16 weights by llama.cpp's own `llama_model_quantize`.
TYPE is one of its names in any case: F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, ... The output
appears under its name only when it is complete.

A kit holds a copy of this file, so it imports nothing of the factory, and llama_cpp only when
it is needed: whoever probes `--help` expects the answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

GGUF_MAGIC = b"GGUF"
ALIASES = {"Q3_K": "Q3_K_M", "Q4_K": "Q4_K_M", "Q5_K": "Q5_K_M"}
CONSTANT_PREFIX = "LLAMA_FTYPE_MOSTLY_"


class QuantizeError(ValueError):
    """The arguments cannot be used, or llama.cpp refused them."""


def quantize(source: Path, target: Path, type_name: str, threads: int | None = None) -> None:
    """Write `source`, quantized to `type_name`, as `target`; QuantizeError leaves no file.

    More threads than this process may use only slow each other down, so `threads` is capped.
    """
    _require_gguf(source)
    if target.exists() and target.samefile(source):
        raise QuantizeError(f"{target}: input and output are the same file")
    if not target.parent.is_dir():
        raise QuantizeError(f"{target.parent}: no such folder")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        _run(source, partial, file_type(type_name), min(threads or 1, available or 1))
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _require_gguf(path: Path) -> None:
    if not path.is_file():
        raise QuantizeError(f"{path}: no such file")
    with path.open("rb") as file:
        if file.read(4) != GGUF_MAGIC:
            raise QuantizeError(f"{path}: not a GGUF file")


def file_type(name: str) -> int:
    """Return llama.cpp's number for a type's name; QuantizeError for one that it does not have."""
    import llama_cpp

    numbers = {
        constant[len(CONSTANT_PREFIX) :]: number
        for constant, number in vars(llama_cpp).items()
        if constant.startswith(CONSTANT_PREFIX)
    }
    numbers["F32"] = llama_cpp.LLAMA_FTYPE_ALL_F32
    known = name.upper()
    try:
        return int(numbers[ALIASES.get(known, known)])
    except KeyError:
        there_are = ", ".join(sorted(numbers))
        raise QuantizeError(f"unknown type {name!r}; there are {there_are}") from None


def _run(source: Path, target: Path, number: int, threads: int) -> None:
    import llama_cpp

    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = number
    parameters.nthread = threads
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(target), parameters)
    if code != 0:
        raise QuantizeError(
            f"{source}: llama.cpp could not quantize it (code {code}, reason above). It takes f32, "
            "f16 or bf16 weights, and the 1 to 3 bit types need an importance matrix"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code (argparse exits with 2 for wrong usage)."""
    parser = argparse.ArgumentParser(prog="llama-quantize", description=__doc__)
    parser.add_argument("source", type=Path, metavar="INPUT.gguf")
    parser.add_argument("target", type=Path, metavar="OUTPUT.gguf")
    parser.add_argument("type_name", metavar="TYPE")
    parser.add_argument("threads", type=int, metavar="THREADS", nargs="?")
    try:
        quantize(**vars(parser.parse_args(arguments)))
    except QuantizeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
