"""Every field of model, lora and training changes what is run, or is refused with a reason."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from factory import config as configuration
from factory.console import Console
from factory.context import Context
from factory.errors import ConfigError
from factory.training import script
from tests.training.conftest import make_context
from tests.training.test_script import CPU

# field -> (a value that is not the default, where it shows in train.json, what stands there).
# "same": the value itself. REFUSED: ConfigError names the field. ELSEWHERE: see the reason.
REFUSED = "refused on a CPU, or for this model"
SHOWN: dict[str, tuple[Any, str, Any]] = {
    "model.max_seq_length": (256, "model.max_seq_length", "same"),
    "model.dtype": ("bfloat16", "model.dtype", "same"),
    "model.full_finetuning": (True, "model.full_finetuning", "same"),
    "model.attn_implementation": ("sdpa", "model.attn_implementation", "same"),
    "model.load_in_4bit": (True, REFUSED, None),
    "model.revision": ("abc", REFUSED, None),
    "model.name": ("models/none", REFUSED, None),
    "lora.r": (8, "lora.r", "same"),
    "lora.lora_alpha": (8, "lora.lora_alpha", "same"),
    "lora.lora_dropout": (0.1, "lora.lora_dropout", "same"),
    "lora.target_modules": (["q_proj"], "lora.target_modules", "same"),
    "lora.modules_to_save": (["embed_tokens"], "lora.modules_to_save", "same"),
    "lora.bias": ("all", "lora.bias", "same"),
    "lora.use_gradient_checkpointing": (True, "lora.use_gradient_checkpointing", "same"),
    "lora.random_state": (1, "lora.random_state", "same"),
    "lora.use_rslora": (True, "lora.use_rslora", "same"),
    "lora.use_dora": (True, "lora.use_dora", "same"),
    "lora.finetune_vision_layers": (True, REFUSED, None),
    "lora.finetune_language_layers": (False, REFUSED, None),
    "lora.finetune_attention_modules": (False, "lora.target_modules", list(script.MLP)),
    "lora.finetune_mlp_modules": (False, "lora.target_modules", list(script.ATTENTION)),
    "training.warmup_steps": (9, "trainer.warmup_steps", "same"),
    "training.max_steps": (9, "trainer.max_steps", "same"),
    "training.num_train_epochs": (9, "trainer.num_train_epochs", "same"),
    "training.learning_rate": (1.0, "trainer.learning_rate", "same"),
    "training.per_device_train_batch_size": (3, "trainer.per_device_train_batch_size", "same"),
    "training.gradient_accumulation_steps": (3, "trainer.gradient_accumulation_steps", "same"),
    "training.per_device_eval_batch_size": (3, "trainer.per_device_eval_batch_size", "same"),
    "training.embedding_learning_rate": (1e-5, REFUSED, None),
    "training.fp16": (True, REFUSED, None),
    "training.tf32": (True, REFUSED, None),
    "training.bf16": (False, "trainer.fp16", False),
    "training.logging_steps": (7, "trainer.logging_steps", "same"),
    "training.save_steps": (7, "trainer.save_steps", "same"),
    "training.save_total_limit": (7, "trainer.save_total_limit", "same"),
    "training.eval_steps": (7, "trainer.eval_steps", "same"),
    "training.load_best_model_at_end": (True, "trainer.load_best_model_at_end", "same"),
    "training.early_stopping_patience": (2, "early_stopping.early_stopping_patience", "same"),
    "training.early_stopping_threshold": (0.1, REFUSED, None),
    "training.optim": ("sgd", "trainer.optim", "same"),
    "training.weight_decay": (0.5, "trainer.weight_decay", "same"),
    "training.max_grad_norm": (0.5, "trainer.max_grad_norm", "same"),
    "training.lr_scheduler_type": ("cosine", "trainer.lr_scheduler_type", "same"),
    "training.neftune_noise_alpha": (5.0, "trainer.neftune_noise_alpha", "same"),
    "training.packing": (True, REFUSED, None),
    "training.group_by_length": (False, "data.group_by_length", "same"),
    "training.over_length": ("truncate", "data.over_length", "same"),
    "training.divergence_factor": (9.0, "guards.divergence_factor", "same"),
    "training.divergence_window": (9, "guards.divergence_window", "same"),
    "training.stop_on_divergence": (True, "guards.stop_on_divergence", "same"),
    "training.seed": (9, "trainer.seed", "same"),
    "training.num_threads": (3, "threads", "same"),
    "training.num_processes": (2, REFUSED, None),
    "training.output_dir": ("models/other", "trainer.output_dir", "same"),
}
ELSEWHERE = {
    "training.allow_shorter_sequences": "of the parent: tests/training/test_launch.py",
    "training.min_loss_decrease": "of the gate: tests/training/test_gate.py",
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return make_context(tmp_path_factory.mktemp("options") / "ws")


def resolved(context: Context, field: str, value: Any) -> dict[str, Any]:
    section, _, key = field.partition(".")
    config = configuration.validate({section: {key: value}})
    changed = Context(context.workspace, config, Console(quiet=True))
    return script.resolve(changed, CPU).settings


def test_every_field_is_in_the_table() -> None:
    sections = configuration.Config.model_fields
    fields = {
        f"{section}.{name}"
        for section in ("model", "lora", "training")
        for name in sections[section].annotation.model_fields  # type: ignore[union-attr]
    }
    assert fields == SHOWN.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("field", [name for name in SHOWN if SHOWN[name][1] != REFUSED])
def test_a_field_changes_what_is_run(context: Context, field: str) -> None:
    value, place, wanted = SHOWN[field]
    found: Any = resolved(context, field, value)
    for key in place.split("."):
        found = found[key]
    assert found == (value if wanted == "same" else wanted)


@pytest.mark.parametrize("field", [name for name in SHOWN if SHOWN[name][1] == REFUSED])
def test_a_field_is_refused_by_name(context: Context, field: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolved(context, field, SHOWN[field][0])
    assert raised.value.where == field


@pytest.mark.parametrize("field", ["target_modules", "modules_to_save"])
def test_a_module_that_the_model_has_not_is_refused(context: Context, field: str) -> None:
    with pytest.raises(ConfigError, match="no module 'q_porj'; did you mean 'q_proj'"):
        resolved(context, f"lora.{field}", ["q_porj"])


PROBE = """
import json, sys
import unsloth
from unsloth import FastModel
from trl import SFTConfig
from dataclasses import fields

found = {"sft": [field.name for field in fields(SFTConfig)], "lora": {}}
for name, more in json.loads(sys.argv[2]).items():
    options = {**json.loads(sys.argv[1]), **more}
    model, _ = FastModel.from_pretrained("models/base", max_seq_length=128, dtype=None,
                                         attn_implementation="sdpa")
    model = FastModel.get_peft_model(model, **options)
    config = model.peft_config["default"]
    found["lora"][name] = {key: getattr(config, key, None) for key in more}
    found["lora"][name] = {k: sorted(v) if isinstance(v, (set, list)) else v
                           for k, v in found["lora"][name].items()}
    found["lora"][name]["trained"] = sorted({n.split(".")[-2] for n, p in model.named_parameters()
                                             if p.requires_grad})
    found["lora"][name]["checkpointing"] = bool(model.is_gradient_checkpointing)
    found["attention"] = model.config._attn_implementation
print("@" + json.dumps(found))
"""
VARIANTS: dict[str, dict[str, Any]] = {
    "r": {"r": 3},
    "lora_alpha": {"lora_alpha": 5},
    "lora_dropout": {"lora_dropout": 0.25},
    "use_rslora": {"use_rslora": True},
    "use_dora": {"use_dora": True},
    "bias": {"bias": "all"},
    "target_modules": {"target_modules": ["q_proj", "down_proj"]},
    "modules_to_save": {"modules_to_save": ["embed_tokens"]},
    "use_gradient_checkpointing": {"use_gradient_checkpointing": True},
}


@pytest.fixture(scope="module")
def probed(context: Context) -> dict[str, Any]:
    """What Unsloth makes of every LoRA option, and the fields that TRL knows."""
    options = json.dumps(script.resolve(context, CPU).settings["lora"])
    done = subprocess.run(
        [sys.executable, "-c", PROBE, options, json.dumps(VARIANTS)],
        cwd=context.workspace.root,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("@"))
    answer: dict[str, Any] = json.loads(line[1:])
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VARIANTS if "checkpointing" not in name])
def test_unsloth_hands_an_option_to_peft(probed: dict[str, Any], name: str) -> None:
    wanted = VARIANTS[name][name]
    found = probed["lora"][name][name]
    assert found == (sorted(wanted) if isinstance(wanted, list) else wanted)


@pytest.mark.slow
def test_what_is_trained_follows_the_options(probed: dict[str, Any]) -> None:
    assert probed["lora"]["use_gradient_checkpointing"]["checkpointing"] is True
    assert probed["lora"]["r"]["checkpointing"] is False
    assert probed["attention"] == "sdpa"


@pytest.mark.slow
def test_trl_knows_every_setting_of_the_trainer(probed: dict[str, Any], context: Context) -> None:
    settings = script.resolve(context, CPU).settings["trainer"]
    assert settings.keys() <= set(probed["sft"])
