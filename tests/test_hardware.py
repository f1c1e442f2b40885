"""What this machine is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from factory import hardware
from factory.hardware import has_bf16


@pytest.mark.parametrize(
    ("flags", "machine", "expected"),
    [
        ({"avx2"}, "x86_64", False),
        ({"avx512_bf16"}, "x86_64", True),
        ({"amx_bf16"}, "AMD64", True),
        ({"bf16"}, "aarch64", True),
        ({"bf16"}, "x86_64", False),
        (set(), "riscv64", False),
    ],
)
def test_bfloat16_in_hardware(flags: set[str], machine: str, expected: bool) -> None:
    assert has_bf16(frozenset(flags), machine) is expected


def test_this_machine() -> None:
    machine = hardware.detect()
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert 0 < machine.free_memory <= machine.memory
    assert f"{machine.cores} cores" in machine.describe()


def test_a_small_model_gets_one_thread() -> None:
    decision = hardware.threads_for(Path(__file__).parents[1] / "models" / "base", None)
    assert decision.value == 1
    assert "same bits" in decision.reason


def test_threads_that_were_asked_for_are_given(tmp_path: Path) -> None:
    assert hardware.threads_for(tmp_path, 3).value == 3


def test_gpus_are_read_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'Big, 81920, 80000, 9.0'\necho 'Old, 16384, 16000, 7.5'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("UNSLOTH_FORCE_CPU", raising=False)
    names = [(gpu.name, gpu.bf16) for gpu in hardware.detect().accelerators]
    assert names == [("Big", True), ("Old", False)]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [gpu.name for gpu in hardware.detect().accelerators] == ["Old"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert hardware.detect().accelerator is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("UNSLOTH_FORCE_CPU", "1")
    assert hardware.detect().accelerator is None
