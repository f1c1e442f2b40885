"""The real thing on a CUDA machine: python -m pytest -m gpu tests/gpu -s

A randomly initialised model of the 8B class (Llama-3.1-8B's shape) is trained with 4-bit QLoRA
and with bf16 LoRA, killed, resumed, merged and converted; tokens per second, memory and the share
of the GPU's arithmetic that was used are printed. Skipped, saying so, where there is no GPU.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from factory import hardware
from factory.context import Context
from factory.training import evidence, launch, script
from factory.training.gate import judge_training
from tests.training.conftest import BASE, make_context, row, start_script, write_rows
from tests.training.test_train import wait_for

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(hardware.detect().accelerator is None, reason="no CUDA device here"),
]
SHAPE: dict[str, Any] = {  # Llama-3.1-8B, https://arxiv.org/abs/2407.21783 table 3
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 8192,
}
BF16_PEAK = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L4": 121e12}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random model, with the demo's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("base")
    tokenizer = AutoTokenizer.from_pretrained(BASE)
    torch.manual_seed(0)
    with torch.device("cuda"):
        config = LlamaConfig(vocab_size=len(tokenizer), dtype="bfloat16", **SHAPE)
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def context_for(base: Path, folder: Path, **sections: dict[str, Any]) -> Context:
    context = make_context(folder, **sections)
    shutil.rmtree(folder / "models/base")
    (folder / "models/base").symlink_to(base)
    write_rows(folder / "data/splits/train.jsonl", [row(number) for number in range(512)])
    return context


def report(stats: dict[str, Any]) -> None:
    name = hardware.detect().accelerator.name  # type: ignore[union-attr]
    # 4 FLOPs a frozen weight and token: forward, and backward through the activations only.
    used = 4 * stats["total_parameters"] * stats["tokens_per_second"]
    peak = next((value for key, value in BF16_PEAK.items() if key in name), None)
    share = f"{used / peak:.1%} of peak" if peak else "peak unknown"
    print(
        f"\n{name}: {stats['tokens_per_second']:.0f} tokens/s, "
        f"{stats['peak_memory_gb']:.1f} GiB, {share}"
    )


@pytest.mark.parametrize("four_bits", [False, True], ids=["bf16 LoRA", "4-bit QLoRA"])
def test_train_merge_and_convert(base: Path, tmp_path: Path, four_bits: bool) -> None:
    context = context_for(
        base,
        tmp_path / "ws",
        model={"load_in_4bit": four_bits, "max_seq_length": 1024},
        training={"max_steps": 30, "per_device_train_batch_size": 8},
        project={"allowed_paths": [str(base)]},
    )
    plan = script.resolve(context, hardware.detect())
    launch.train(context, plan.settings)
    checks = judge_training(evidence.collect(context), min_loss_decrease=0)
    assert [check.id for check in checks if check.closed] == []
    report(json.loads(context.workspace.training_stats.read_text()))


def test_kill_and_resume(base: Path, tmp_path: Path) -> None:
    context = context_for(
        base,
        tmp_path / "ws",
        training={"max_steps": 12, "save_steps": 4},
        project={"allowed_paths": [str(base)]},
    )
    plan = script.resolve(context, hardware.detect())
    script.write(context, plan.settings)
    process = start_script(context.workspace.root)
    wait_for(context.workspace.root, 6, process)
    process.kill()
    process.wait()
    decisions = launch.train(context, plan.settings)
    assert decisions["start"].value >= 4


def test_out_of_memory_is_survived(base: Path, tmp_path: Path) -> None:
    context = context_for(
        base,
        tmp_path / "ws",
        model={"max_seq_length": 8192},
        training={
            "max_steps": 2,
            "per_device_train_batch_size": 4096,
            "gradient_accumulation_steps": 1,
        },
        lora={"use_gradient_checkpointing": False},
        project={"allowed_paths": [str(base)]},
    )
    write_rows(
        context.path("dataset.path"), [row(number) for number in range(512) for _ in range(9)]
    )
    plan = script.resolve(context, hardware.detect())
    decisions = launch.train(context, plan.settings)
    assert "effective batch stays 4096" in str(decisions["attempt_2"].value)
