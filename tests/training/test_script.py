"""Every choice of the resolver, and every option that it refuses, with its reason."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from factory.config import Config, validate
from factory.context import Context
from factory.errors import ConfigError
from factory.hardware import GIB, Accelerator, Machine
from factory.training import script
from tests.training.conftest import TEMPLATES, make_context

CPU = Machine(cores=8, memory=16 * GIB, free_memory=12 * GIB, cpu="x", cpu_bf16=True)
AMPERE = Accelerator("cuda", "A100", 80 * GIB, 79 * GIB, bf16=True)
TURING = Accelerator("cuda", "T4", 16 * GIB, 15 * GIB, bf16=False)
TURING_MACHINE = replace(CPU, accelerators=(TURING,))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return make_context(tmp_path_factory.mktemp("script") / "ws")


def with_config(context: Context, **sections: dict[str, Any]) -> Context:
    values = context.config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for section, fields in sections.items():
        values.setdefault(section, {}).update(fields)
    return replace(context, config=validate(values))


def refused(machine: Machine, **sections: dict[str, Any]) -> str:
    config: Config = validate(sections)
    with pytest.raises(ConfigError) as caught:
        script.refuse_unusable(config, machine)
    return str(caught.value)


@pytest.mark.parametrize(
    ("machine", "sections", "field"),
    [
        (CPU, {"model": {"load_in_4bit": True}}, "model.load_in_4bit"),
        (CPU, {"model": {"dtype": "float16"}}, "model.dtype"),
        (CPU, {"model": {"attn_implementation": "flash_attention_2"}}, "attn_implementation"),
        (TURING_MACHINE, {"model": {"attn_implementation": "flash_attention_2"}}, "Ampere"),
        (CPU, {"training": {"packing": True}}, "training.packing"),
        (CPU, {"training": {"fp16": True}}, "training.fp16"),
        (replace(CPU, cpu_bf16=False), {"training": {"bf16": True}}, "training.bf16"),
        (CPU, {"training": {"optim": "lion_8bit"}}, "training.optim"),
        (CPU, {"lora": {"finetune_vision_layers": True}}, "finetune_vision_layers"),
        (CPU, {"lora": {"finetune_language_layers": False}}, "finetune_language_layers"),
        (
            CPU,
            {"training": {"early_stopping_patience": 2, "eval_steps": 0}},
            "early_stopping_patience",
        ),
        (
            CPU,
            {"training": {"load_best_model_at_end": True, "eval_steps": 20, "save_steps": 30}},
            "training.save_steps",
        ),
        (CPU, {"training": {"embedding_learning_rate": 1e-5}}, "embedding_learning_rate"),
        (
            CPU,
            {"model": {"full_finetuning": True}, "lora": {"modules_to_save": ["lm_head"]}},
            "lora.modules_to_save",
        ),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    machine: Machine, sections: dict[str, Any], field: str
) -> None:
    assert field in refused(machine, **sections)


def test_flash_attention_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before the model loads, unless one of its packages is there."""
    installed: set[str] = set()
    monkeypatch.setattr(script, "find_spec", lambda name: name if name in installed else None)
    machine, flash = replace(CPU, accelerators=(AMPERE,)), "flash_attention_2"
    assert "pip install flash-attn" in refused(machine, model={"attn_implementation": flash})
    installed.add("kernels")
    script.refuse_unusable(validate({"model": {"attn_implementation": flash}}), machine)


@pytest.mark.parametrize(
    ("machine", "dtype", "bf16", "fp16", "optimizer"),
    [
        (CPU, "float32", True, False, "adamw_torch_fused"),
        (replace(CPU, cpu_bf16=False), "float32", False, False, "adamw_torch_fused"),
        (replace(CPU, accelerators=(AMPERE,)), "bfloat16", True, False, "adamw_8bit"),
        (TURING_MACHINE, "float16", False, True, "adamw_8bit"),
    ],
)
def test_the_hardware_decides_what_is_left_open(
    context: Context, machine: Machine, dtype: str, bf16: bool, fp16: bool, optimizer: str
) -> None:
    plan = script.resolve(context, machine)
    trainer = plan.settings["trainer"]
    found = plan.settings["model"]["dtype"], trainer["bf16"], trainer["fp16"], trainer["optim"]
    assert found == (dtype, bf16, fp16, optimizer)
    assert all(decision.reason for decision in plan.decisions.values())


# option -> where it has to show in train.json, with which value
OPTIONS: list[tuple[dict[str, Any], str, Any]] = [
    ({"training": {"neftune_noise_alpha": 5.0}}, "trainer.neftune_noise_alpha", 5.0),
    ({"training": {"lr_scheduler_type": "cosine"}}, "trainer.lr_scheduler_type", "cosine"),
    ({"training": {"warmup_steps": 0.03}}, "trainer.warmup_steps", 0.03),
    ({"training": {"epochs": 7, "max_steps": None}}, "trainer.num_train_epochs", 7),
    ({"training": {"max_grad_norm": 0.3}}, "trainer.max_grad_norm", 0.3),
    ({"training": {"early_stopping_patience": 2}}, "trainer.load_best_model_at_end", True),
    ({"training": {"early_stopping_patience": 2}}, "trainer.save_strategy", "epoch"),
    ({"training": {"eval_steps": 0}}, "trainer.eval_strategy", "no"),
    ({"training": {"seed": 7}}, "trainer.seed", 7),
    ({"training": {"over_length": "truncate"}}, "data.over_length", "truncate"),
    ({"training": {"group_by_length": False}}, "data.group_by_length", False),
    ({"training": {"num_threads": 3}}, "threads", 3),
    ({"training": {"stop_on_divergence": True}}, "guards.stop_on_divergence", True),
    ({"lora": {"use_dora": True}}, "lora.use_dora", True),
    ({"lora": {"use_rslora": True}}, "lora.use_rslora", True),
    ({"lora": {"target_modules": "all-linear"}}, "lora.target_modules", "all-linear"),
    ({"lora": {"modules_to_save": ["lm_head"]}}, "lora.modules_to_save", ["lm_head"]),
    ({"lora": {"finetune_mlp_modules": False}}, "lora.target_modules", list(script.ATTENTION)),
    ({"model": {"full_finetuning": True}}, "lora", None),
    ({"model": {"attn_implementation": "sdpa"}}, "model.attn_implementation", "sdpa"),
    ({"tracking": {"report_to": ["tensorboard"]}}, "trainer.report_to", ["tensorboard"]),
    ({"wandb": {"enabled": True}, "tracking": {"report_to": []}}, "trainer.report_to", ["wandb"]),
    ({"tracking": {"report_to": []}}, "trainer.report_to", "none"),
    ({"save": {"gguf_quantization": ["f16"]}}, "save.gguf_quantization", ["f16"]),
]


@pytest.mark.parametrize(("sections", "place", "value"), OPTIONS)
def test_every_option_arrives(
    context: Context, sections: dict[str, Any], place: str, value: Any
) -> None:
    found: Any = script.resolve(with_config(context, **sections), CPU).settings
    for key in place.split("."):
        found = found[key]
    assert found == value


def test_a_model_without_anything_to_train_is_refused(context: Context) -> None:
    nothing = {"finetune_mlp_modules": False, "finetune_attention_modules": False}
    with pytest.raises(ConfigError, match="no module is left"):
        script.resolve(with_config(context, lora=nothing), CPU)


HOSTILE = "x'\"\n$(touch canary) `touch canary` {{7*7}} <b> \\ \u202e"


def test_nothing_is_substituted_into_python(context: Context) -> None:
    hostile = with_config(context, project={"name": HOSTILE}, tracking={"run_name": HOSTILE})
    plan = script.resolve(hostile, CPU)
    script.write(hostile, plan.settings)
    folder = hostile.workspace.script.parent
    for name in script.FILES:
        assert (folder / name).read_bytes() == (TEMPLATES / name).read_bytes()
    assert json.loads((folder / "train.json").read_text()) == plan.settings
    assert set(plan.settings["save"]["gguf_name"]) <= set(
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
    )


def test_paths_in_the_settings_are_relative(context: Context) -> None:
    text = json.dumps(script.resolve(context, CPU).settings)
    assert str(context.workspace.root) not in text


@pytest.mark.parametrize("name", script.FILES)
def test_the_script_is_short_and_stands_alone(name: str) -> None:
    text = (TEMPLATES / name).read_text()
    assert len(text.splitlines()) < 400
    modules = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert "factory" not in modules
    answer = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "-q", str(TEMPLATES / name)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stdout


def test_the_pins_of_the_script_are_those_of_the_project() -> None:
    from factory.training import bundle

    constraints = (Path(__file__).parents[2] / "constraints.txt").read_text()
    for pin in bundle.requirements({"trainer": {"report_to": "none"}}).split():
        assert pin in constraints, pin
