"""The same job done otherwise: `python rivals.py NAME IN OUT`, each in its own process."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any


def orjson_round_trip(source: str, target: str) -> None:
    """The floor: parse every line, serialise it, write it."""
    import orjson

    with open(source, "rb") as lines, open(target, "wb") as output:
        for line in lines:
            output.write(orjson.dumps(orjson.loads(line)) + b"\n")


def orjson_hashed_twice(source: str, target: str) -> None:
    """The floor of what hashes its input, splits it when it has seen all, and hashes the result.

    A round trip whose lines are written to a file, read again and written once more.
    """
    import hashlib

    import orjson

    read, written = hashlib.sha256(), hashlib.sha256()
    with open(source, "rb") as lines, open(f"{target}.spool", "w+b") as spool:
        while block := lines.readlines(1 << 18):
            read.update(b"".join(block))
            spool.write(b"\n".join([*map(orjson.dumps, map(orjson.loads, block)), b""]))
        spool.seek(0)
        with open(target, "wb") as output:
            while data := spool.read(1 << 19):
                written.update(data)
                output.write(data)
    os.unlink(f"{target}.spool")


def unsloth(source: str, target: str) -> None:
    """Unsloth's way: `datasets`, standardize_data_formats, a map, and a file at the end."""
    import unsloth  # noqa: F401 - its companion package refuses to be imported without it
    from unsloth_zoo.dataset_utils import standardize_data_formats

    standard = standardize_data_formats(_load(source), num_proc=1)
    counted = standard.map(lambda row: {"turns": len(row["conversations"])})
    counted.to_json(target)


def llamafactory(source: str, target: str) -> None:
    """LLaMA-Factory's converter and aligner with its own defaults for ShareGPT rows."""
    # Its package imports this for audio rows, of which there are none here.
    audio = ModuleType("torchaudio")
    audio.__spec__ = ModuleSpec("torchaudio", None)
    sys.modules.setdefault("torchaudio", audio)
    from llamafactory.data.converter import align_dataset
    from llamafactory.data.parser import DatasetAttr

    attributes = DatasetAttr(load_from="file", dataset_name=source, formatting="sharegpt")
    settings = SimpleNamespace(
        streaming=False, preprocessing_num_workers=1, overwrite_cache=True, media_dir=""
    )
    training = SimpleNamespace(local_process_index=0)
    aligned = align_dataset(_load(source), attributes, settings, training)
    aligned.to_json(target)


def _load(source: str) -> Any:
    from datasets import disable_caching, load_dataset

    disable_caching()
    cache = os.environ["BENCHMARK_CACHE"]
    return load_dataset("json", data_files=source, split="train", cache_dir=cache)


def datasketch(source: str, target: str) -> None:
    """Drop near duplicates with datasketch, over the same shingles, permutations and threshold."""
    import orjson
    from datasketch import MinHash, MinHashLSH

    from factory.data.near import PERMUTATIONS, shingles

    index = MinHashLSH(threshold=0.7, num_perm=PERMUTATIONS)
    with open(source, "rb") as lines, open(target, "wb") as output:
        for row, line in enumerate(lines):
            turns = orjson.loads(line)["messages"]
            text = "\n".join(turn["content"] for turn in turns if turn["role"] != "system")
            sketch = MinHash(num_perm=PERMUTATIONS)
            sketch.update_batch([gram.encode() for gram in shingles(text)])
            if not index.query(sketch):
                output.write(line)
            index.insert(row, sketch)


RIVALS = {
    function.__name__: function
    for function in (orjson_round_trip, orjson_hashed_twice, unsloth, llamafactory, datasketch)
}

if __name__ == "__main__":
    RIVALS[sys.argv[1]](sys.argv[2], sys.argv[3])
