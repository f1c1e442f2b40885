"""docs/seeds.md: every command of the five systems' counterparts runs, on the built-in model."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import ROOT, factory

PAGE = (ROOT / "docs" / "seeds.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The same run, small: each system's own data shape through all five stages, a minute each.
# A validation loss on so few rows proves nothing else than that the machinery works.
TINY = {
    "training.max_steps": 60,
    "training.learning_rate": 3e-3,
    "training.logging_steps": 1,
    "training.warmup_steps": 5,
    "training.eval_steps": 0,
    "training.save_steps": 60,
    "training.load_best_model_at_end": "false",
    "model.load_in_4bit": "false",
    "training.bf16": "null",
    "training.tf32": "null",
    "evaluation.max_new_tokens": 8,
    "evaluation.metric": "loss",
    "evaluation.targets": "{}",
    "save.gguf_quantization": '["q8_0"]',
}
# What the presets ask of a GPU.
ANYWHERE = tuple(
    word
    for setting in ("model.load_in_4bit=false", "training.bf16=null", "training.tf32=null")
    for word in ("--set", setting)
)
SHAPES = ("gemma-3-4b", "veran-tools", "oracle-rauru-mac", "aj-mixed-h200", "mtg-reason")


def sections() -> dict[str, list[list[str]]]:
    """The commands of each section, in the order of the page."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        text = "\n".join(BLOCK.findall(section)).replace("\\\n", " ")
        found[section.partition("\n")[0]] = [
            shlex.split(line, comments=True)[3:] for line in text.splitlines() if line.strip()
        ]
    return found


def test_all_five_systems_have_commands() -> None:
    assert len(sections()) == 5
    assert all(len(commands) >= 3 for commands in sections().values())


def on_the_tiny_base(command: list[str]) -> list[list[str]]:
    """The command with the built-in model; a whole run becomes its first stage and a plan."""
    if command[0] == "init":
        return [[*command, "--model", "models/base"]]
    if "run" in command:
        stage = command.index("run") + 1
        here = [*command, *ANYWHERE]
        return [[*here[:stage], "format", *here[stage + 1 :]], [*here, "--dry-run"]]
    return [command]


@pytest.mark.parametrize("section", sections())
def test_every_command_of_a_section_runs(section: str, tmp_path: Path) -> None:
    for command in sections()[section]:
        for words in on_the_tiny_base(command):
            done = factory(*words, cwd=tmp_path)
            # A doctor may find this machine wanting; it still has to say so in order.
            accepted = (0, 1) if "doctor" in words else (0,)
            assert done.returncode in accepted, f"{words}: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("preset", SHAPES)
def test_each_data_shape_goes_through_all_stages(preset: str, tmp_path: Path) -> None:
    made = factory(
        *("init", "ws", "--preset", preset, "--model", "models/base", "--sample"), cwd=tmp_path
    )
    assert made.returncode == 0, made.stderr
    left = tmp_path / "ws" / ".factory" / "ask-of-a-killed-run"
    left.mkdir(parents=True)
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    done = factory("run", "all", *settings, cwd=tmp_path / "ws")
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    assert not left.exists()
    [release] = (tmp_path / "ws" / "models" / "release").iterdir()
    metadata = json.loads((release / "metadata.json").read_text())
    assert all((release / path).exists() for path in metadata["artifacts"].values())
    if preset == "aj-mixed-h200":
        assert metadata["artifacts"] == {
            "lora": "AJ-DeepSeekR1Qwen32B-v2.0.0-lora",
            "merged": "AJ-DeepSeekR1Qwen32B-v2.0.0-merged",
            "q8_0": "gguf/AJ-DeepSeekR1Qwen32B-v2.0.0-q8.gguf",
        }
    for folder in (release, release / metadata["artifacts"]["lora"]):
        specialist = json.loads((folder / "specialist_config.json").read_text())
        assert specialist["specialist_type"] == preset
        assert specialist["system_prompt"] == metadata["expert"]["system_prompt"]
        assert specialist["lora_config"]["r"] == metadata["model"]["lora_rank"]
