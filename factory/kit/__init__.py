"""The llama.cpp kit: converter, quantizer and runtime from one pinned source distribution.

    source.py             which release; download it, verify its hash, unpack it
    cache.py              where kits are kept and which one fits this machine: `find`, `require`
    build.py              compile the release once and assemble a kit: `build`
    install.py            put the kit's wheels into an environment, check that it works: `install`
    trial.py              does what was compiled compute, on this processor
    pretokenizer.py       copied into the kit: names a home-trained tokenizer for llama.cpp
    quantize.py           copied into the kit: what `llama-quantize` runs
    tokenizer_parity.py   does a GGUF file tokenize like the tokenizer it came from

Unsloth, the converter and `llama_cpp` all use the same kit, so the file format that is written
and the one that is read can never drift apart. None of llama.cpp's code is in this repository.
What is imported here is the standard library only: set-up runs it before anything is installed.
"""

from __future__ import annotations

from factory.kit.cache import Kit, find, require
from factory.kit.install import check, install
from factory.kit.source import KitError

__all__ = ["Kit", "KitError", "check", "find", "install", "require"]
