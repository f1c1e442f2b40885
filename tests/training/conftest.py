"""A small workspace that trains in seconds, and real tokenizers from the llama.cpp kit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from factory import config as configuration
from factory import hardware, kit
from factory.console import Console
from factory.context import Context
from factory.training import script
from factory.workspace import Workspace

ROOT = Path(__file__).parents[2]
BASE = ROOT / "models" / "base"
TEMPLATES = ROOT / "factory" / "training" / "templates"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "read_memory",
            "description": "Read bytes",
            "parameters": {
                "type": "object",
                "properties": {"address": {"type": "string"}, "size": {"type": "integer"}},
                "required": ["address"],
            },
        },
    }
]


def row(number: int) -> dict[str, Any]:
    """One canonical row; lengths differ."""
    address, filler = f"${number * 37 % 65536:04X}", " please" * (number % 7)
    call = {"name": "read_memory", "arguments": {"address": address, "size": number % 8 + 1}}
    return {
        "conversations": [
            {"role": "user", "content": f"Read {number % 8 + 1} bytes at {address}{filler}"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"type": "function", "function": call}],
            },
        ],
        "tools": TOOLS,
        "id": f"row-{number}",
        "source": "test",
    }


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Canonical rows as the format stage writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(item) + "\n" for item in rows), encoding="utf-8")


def make_context(folder: Path, *, force: bool = False, **sections: dict[str, Any]) -> Context:
    """A workspace with 40 rows that trains 6 steps of 4 rows, a checkpoint every 2."""
    shutil.copytree(BASE, folder / "models" / "base")
    write_rows(folder / "data/splits/train.jsonl", [row(number) for number in range(40)])
    write_rows(folder / "data/splits/val.jsonl", [row(number) for number in range(40, 46)])
    training = {
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "max_steps": 6,
        "save_steps": 2,
        "learning_rate": 2e-3,
        "warmup_steps": 0,
        **sections.pop("training", {}),
    }
    model = {"max_seq_length": 512, **sections.pop("model", {})}
    values = {"model": model, "training": training, **sections}
    (folder / "training-config.json").write_text(json.dumps(values))
    return Context(Workspace(folder), configuration.validate(values), Console(quiet=True), force)


def write_script(context: Context) -> dict[str, Any]:
    """Resolve and write scripts/; returns the settings."""
    plan = script.resolve(context, hardware.detect())
    script.write(context, plan.settings)
    return plan.settings


def start_script(
    folder: Path, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """`python scripts/train.py ARGUMENTS`, as a person would type it."""
    found = kit.require()
    variables = {**os.environ, **found.environment(), "HF_HUB_OFFLINE": "1", **(environment or {})}
    return subprocess.Popen(
        [sys.executable, str(folder / "scripts" / "train.py"), *arguments],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_script(folder: Path, *arguments: str, **options: Any) -> tuple[int, str]:
    """(exit code, output) of the script."""
    process = start_script(folder, *arguments, **options)
    output, _ = process.communicate(timeout=560)
    return process.returncode, output


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose script ran to its end, undisturbed. Copy it; do not change it."""
    folder = tmp_path_factory.getbasetemp() / "trained" / "ws"
    if not folder.exists():  # tests/stages uses it, too
        context = make_context(folder)
        write_script(context)
        code, output = run_script(folder)
        assert code == 0, output[-4000:]
    return folder


@pytest.fixture
def copy_of_trained(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained workspace."""
    shutil.copytree(trained, tmp_path / "ws")
    return tmp_path / "ws"


@pytest.fixture(scope="session")
def kit_models() -> Path:
    """Real vocabularies and chat templates, from the llama.cpp kit."""
    found = kit.find()
    assert found is not None, "run: python -m factory.kit install"
    return found.models


@pytest.fixture(scope="session")
def vocabulary(kit_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """A fresh tokenizer: a real vocabulary by llama.cpp's name for it, or "metaspace".

    llama.cpp's SentencePiece vocabularies take minutes to load here (their merges are rebuilt),
    so that kind of tokenizer is trained on the spot, on a few words.
    """
    from transformers import AutoTokenizer

    saved: dict[str, Path] = {}

    def load(name: str) -> Any:
        if name not in saved:
            saved[name] = tmp_path_factory.mktemp(name)
            if name == "metaspace":
                tokenizer = metaspace_tokenizer()
            else:
                file = f"ggml-vocab-{name}.gguf"
                tokenizer = AutoTokenizer.from_pretrained(kit_models, gguf_file=file)
            tokenizer.save_pretrained(saved[name])
        return AutoTokenizer.from_pretrained(saved[name])

    return load


def metaspace_tokenizer() -> Any:
    """A SentencePiece-like BPE: spaces are part of tokens, unknown characters become bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    byte_tokens = [f"<0x{number:02X}>" for number in range(256)]
    text = (
        "Hello user assistant model weather city Oslo name arguments degrees Once more Fine wrong"
    )
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>", "<s>", "</s>"])
    bpe.train_from_iterator([text, text.lower()], trainer)
    vocabulary = json.loads(bpe.to_str())
    for token in byte_tokens:
        vocabulary["model"]["vocab"][token] = len(vocabulary["model"]["vocab"])
    bpe = Tokenizer.from_str(json.dumps(vocabulary))
    bpe.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
