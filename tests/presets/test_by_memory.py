"""A preset that the machine's memory picks: by the GPU that nvidia-smi shows, or by a profile."""

import json
import os
from pathlib import Path

import pytest

from factory import Workspace, layers, presets
from factory.errors import ConfigError

# MiB as nvidia-smi gives them for real cards: the nominal size, less what the driver keeps.
CARDS = {
    "NVIDIA GeForce RTX 4060": (8188, "gemma-3-4b-8gb", (1, 8)),
    "NVIDIA GeForce RTX 3060": (12288, "gemma-3-4b", (2, 4)),
    "Tesla T4": (15360, "gemma-3-4b", (2, 4)),
    "NVIDIA L4": (23034, "gemma-3-12b", (2, 4)),
    "NVIDIA A100-SXM4-40GB": (40536, "gemma-3-27b", (2, 4)),
}
MACHINE = """
[hardware.my-card]
name = "My card"
device = "cuda"
available_memory_gb = {memory}
max_batch_size = {batch}
max_sequence_length = 2048
supports_fp16 = true
supports_bf16 = true
supports_gradient_checkpointing = true
max_lora_rank = 32
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "training-config.json").write_text('{"preset": "gemma-3"}')
    return Workspace(tmp_path)


def with_gpu(folder: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """A machine whose nvidia-smi gives this answer."""
    program = folder / "bin" / "nvidia-smi"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("UNSLOTH_FORCE_CPU", raising=False)


@pytest.mark.parametrize("card", CARDS)
def test_the_gpu_picks_the_largest_that_fits(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, card: str
) -> None:
    memory, preset, batch = CARDS[card]
    with_gpu(workspace.root, monkeypatch, f"{card}, {memory}, {memory}, 8.9")
    resolved = layers.load(workspace.config_path)
    training = resolved.config.training
    assert (training.per_device_train_batch_size, training.gradient_accumulation_steps) == batch
    assert resolved.config.project.name == preset
    decision = resolved.decisions["preset"]
    assert decision.value == preset
    assert card in decision.reason
    assert layers.decisions_of(workspace.config(), workspace.root) == resolved.decisions


def test_without_a_gpu_it_says_what_to_name(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNSLOTH_FORCE_CPU", "1")
    with pytest.raises(ConfigError, match="this machine has none") as raised:
        workspace.config()
    assert "gemma-3-4b-8gb" in (raised.value.hint or "")
    assert "--set hardware=" in (raised.value.hint or "")


def test_a_gpu_that_is_too_small_for_all_is_told_what_the_smallest_needs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gpu(workspace.root, monkeypatch, "GTX 1060, 6144, 6000, 6.1")
    with pytest.raises(ConfigError, match=r"has 6\.4 GB.*gemma-3-4b-8gb.* needs 8 GB"):
        workspace.config()


@pytest.mark.parametrize(("memory", "picked"), [(8, "4b"), (23.9, "4b"), (24, "12b"), (80, "27b")])
def test_a_profile_of_the_workspace_stands_in_for_the_gpu(
    workspace: Workspace, memory: float, picked: str
) -> None:
    (workspace.root / presets.FILE_NAME).write_text(MACHINE.format(memory=memory, batch=2))
    config = workspace.config(overrides=["hardware=my-card"])
    assert config.model.name == f"unsloth/gemma-3-{picked}-it"


def test_a_named_profile_sets_the_limits(workspace: Workspace) -> None:
    (workspace.root / presets.FILE_NAME).write_text(MACHINE.format(memory=80, batch=1))
    values = {"preset": "gemma-3", "hardware": "my-card"}
    workspace.config_path.write_text(json.dumps(values))
    with pytest.raises(ConfigError, match="My card allows 1"):
        workspace.config()
    fitted = workspace.config(fit=True).training
    assert fitted.per_device_train_batch_size * fitted.gradient_accumulation_steps == 8


def test_a_profile_holds_without_a_preset_too(tmp_path: Path) -> None:
    (tmp_path / "training-config.json").write_text('{"hardware": "gpu-8gb", "lora": {"r": 64}}')
    with pytest.raises(ConfigError, match="GPU with 8 GB allows 16"):
        Workspace(tmp_path).config()
    (tmp_path / "training-config.json").write_text('{"hardware": "gpu-8g"}')
    with pytest.raises(ConfigError, match="did you mean 'gpu-8gb'"):
        Workspace(tmp_path).config()


def test_a_list_of_lists_is_refused(tmp_path: Path) -> None:
    (tmp_path / presets.FILE_NAME).write_text('[presets.x]\nby_memory = ["gemma-3"]\n')
    with pytest.raises(ConfigError, match="is a list of presets itself"):
        presets.load(tmp_path).check()
