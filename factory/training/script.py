"""The generated script: constant files copied to scripts/, beside a fully resolved train.json.

Nothing is substituted into Python, so nothing can be injected. `resolve` turns the configuration
and the machine into plain values; every choice it makes is a Decision with its reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from factory import base_model, chat_template, hardware, naming, pipeline, storage, tensors
from factory.artifacts import Decision
from factory.config import Config
from factory.context import Context
from factory.errors import ConfigError, did_you_mean
from factory.hardware import GIB, SMALL_MODEL, Machine
from factory.training import contradictions, trackers

TEMPLATES = Path(__file__).parent / "templates"
FILES = pipeline.SCRIPT_FILES
GPU_ONLY_OPTIMIZERS = {
    "adamw_8bit": "adamw_torch_fused",
    "paged_adamw_8bit": "adamw_torch_fused",
    "paged_adamw_32bit": "adamw_torch_fused",
}
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Plan:
    """What train.json will hold, and why."""

    settings: dict[str, Any]
    decisions: dict[str, Decision]
    parameters: int


def resolve(context: Context, machine: Machine) -> Plan:
    """Decide everything that the configuration leaves open.

    Raises ConfigError for an option that this machine cannot honour, with the reason.
    """
    config = context.config
    base = base_model.resolve(context)
    size = tensors.parameters(base.folder)
    refuse_unusable(config, machine)
    choices = _choose(config, machine, size)
    choices["threads"] = hardware.threads_for(base.folder, config.training.num_threads)
    values = {name: decision.value for name, decision in choices.items()}
    settings = {
        "schema_version": 1,
        "model": {
            "name": base.name,
            "revision": base.revision,
            "max_seq_length": config.model.max_seq_length,
            "dtype": values["dtype"],
            "load_in_4bit": config.model.load_in_4bit,
            "full_finetuning": config.model.full_finetuning,
            "attn_implementation": values["attention"],
            "use_gradient_checkpointing": values["gradient_checkpointing"],
            "chat_template": chat_template.override(context),
        },
        "lora": None if config.model.full_finetuning else _lora(config, values, base.folder),
        "trainer": _trainer(context, values),
        "embedding_learning_rate": config.training.embedding_learning_rate,
        "early_stopping": _early_stopping(config),
        "data": {
            "train": _relative(context, "dataset.path"),
            "validation": _relative(context, "dataset.validation_path"),
            "over_length": config.training.over_length,
            "group_by_length": config.training.group_by_length,
        },
        "guards": {
            "divergence_factor": config.training.divergence_factor,
            "divergence_window": config.training.divergence_window,
            "stop_on_divergence": config.training.stop_on_divergence,
        },
        "threads": values["threads"],
        "num_processes": config.training.num_processes,
        "save": {
            "formats": ["merged", "gguf"] if config.model.full_finetuning else _FORMATS,
            "lora": _relative(context, "save.lora_path"),
            "merged": _relative(context, "save.merged_path"),
            "gguf": _relative(context, "save.gguf_path"),
            "gguf_name": naming.slug(config.project.name),
            "gguf_quantization": config.save.gguf_quantization,
        },
        "files": {
            "status": context.workspace.relative(context.workspace.status),
            "history": context.workspace.relative(context.workspace.history),
            "stats": context.workspace.relative(context.workspace.training_stats),
        },
    }
    settings["run_id"] = storage.sha256_json(settings)[:12]
    return Plan(settings=settings, decisions=choices, parameters=size)


_FORMATS = ["lora", "merged", "gguf"]
FLASH_PACKAGES = ("flash_attn", "kernels")  # transformers takes it from either


def command(settings: dict[str, Any], python: str = "python") -> list[str]:
    """How the script is started from the workspace: several processes are torchrun's."""
    processes = settings["num_processes"]
    if processes == 1:
        return [python, "scripts/train.py"]
    run = [python, "-m", "torch.distributed.run", "--standalone"]  # what `torchrun` is
    return [*run, f"--nproc-per-node={processes}", "scripts/train.py"]


def write(context: Context, settings: dict[str, Any]) -> None:
    """Copy the script files and write train.json, each atomically."""
    folder = context.workspace.script.parent
    for name in FILES:
        storage.write_text(folder / name, (TEMPLATES / name).read_text(encoding="utf-8"))
    storage.write_json(context.workspace.script_config, settings)


def refuse_unusable(config: Config, machine: Machine) -> None:
    """ConfigError for options that contradict each other or that this machine cannot honour."""
    contradictions.refuse(config)
    model, training = config.model, config.training
    on_cpu = machine.accelerator is None
    flash = model.attn_implementation == "flash_attention_2"
    ampere = machine.accelerator is not None and machine.accelerator.bf16
    refusals = [
        (on_cpu and training.fp16, "training.fp16", "a CPU trains in float32 or bfloat16"),
        (
            on_cpu and training.bf16 and not machine.cpu_bf16,
            "training.bf16",
            "this CPU only emulates bfloat16, several times slower than float32",
        ),
        (on_cpu and model.dtype == "float16", "model.dtype", "a CPU emulates float16"),
        (on_cpu and model.load_in_4bit, "model.load_in_4bit", "4-bit (nf4) needs a GPU here"),
        (
            training.tf32 and not ampere,
            "training.tf32",
            "TensorFloat-32 needs an NVIDIA GPU of the Ampere generation or newer",
        ),
        (
            on_cpu and training.packing,
            "training.packing",
            "packing needs FlashAttention to keep rows apart, which a CPU has not",
        ),
        (
            on_cpu and training.optim == "lion_8bit",
            "training.optim",
            "lion_8bit has no CPU version",
        ),
        (
            flash and not ampere,
            "model.attn_implementation",
            "FlashAttention 2 needs an NVIDIA GPU of the Ampere generation or newer",
        ),
        (
            flash and not any(map(find_spec, FLASH_PACKAGES)),
            "model.attn_implementation",
            "FlashAttention 2 is not installed: pip install flash-attn --no-build-isolation, or "
            "kernels, which fetches it compiled",
        ),
    ]
    for refused, field, reason in refusals:
        if refused:
            raise ConfigError(reason, where=field)
    _refuse_processes(training.num_processes, machine)


def _refuse_processes(wanted: int, machine: Machine) -> None:
    """ConfigError for more processes than there are GPUs."""
    gpus = len(machine.accelerators)
    if wanted == 1 or wanted <= gpus:
        return
    threads = "" if gpus else " (on a CPU, threads share the work: training.num_threads)"
    raise ConfigError(
        f"one process for each GPU: {wanted} are wanted, {gpus} are here{threads}",
        where="training.num_processes",
    )


def _choose(config: Config, machine: Machine, size: int) -> dict[str, Decision]:
    """The choices that depend on the machine and on the size of the model."""
    return {
        "device": _device(machine),
        **_adapter(config),
        "dtype": _weights_dtype(config, machine, size),
        "precision": _precision(config, machine),
        "optimizer": _optimizer(config, machine),
        "attention": _attention(config, machine, size),
        "gradient_checkpointing": _gradient_checkpointing(config, machine, size),
        "effective_batch": _effective_batch(config),
        "checkpoints": _checkpoints(config),
        "trackers": trackers.choose(config),
    }


def _adapter(config: Config) -> dict[str, Decision]:
    """Nothing to say of an adapter; without one, what becomes of the section `lora`."""
    if not config.model.full_finetuning:
        return {}
    reason = "every weight is trained; of lora.* only use_gradient_checkpointing counts"
    return {"adapter": Decision(value="none", reason=reason)}


def _device(machine: Machine) -> Decision:
    gpu = machine.accelerator
    if gpu:
        return Decision(value=gpu.kind, reason=f"{gpu.name}, {gpu.memory / GIB:.0f} GiB")
    return Decision(value="cpu", reason="no GPU is visible")


def _weights_dtype(config: Config, machine: Machine, size: int) -> Decision:
    if config.model.dtype not in (None, "auto"):
        return Decision(value=config.model.dtype, reason="model.dtype")
    gpu = machine.accelerator
    if gpu:
        if gpu.bf16:
            return Decision(value="bfloat16", reason=f"{gpu.name} computes bfloat16 in hardware")
        return Decision(value="float16", reason=f"{gpu.name} has no bfloat16")
    if 4 * size <= machine.free_memory // 2:
        return Decision(value="float32", reason="fits in memory, and merges without rounding")
    return Decision(value="bfloat16", reason="float32 weights would take over half of the memory")


def _precision(config: Config, machine: Machine) -> Decision:
    """Mixed precision of the forward and backward pass."""
    training, gpu = config.training, machine.accelerator
    if training.bf16:
        return Decision(value="bf16", reason="training.bf16")
    if training.fp16:
        return Decision(value="fp16", reason="training.fp16")
    if training.bf16 is False and training.fp16 is False:
        return Decision(value="none", reason="training.bf16 and training.fp16 are false")
    fast = gpu.bf16 if gpu else machine.cpu_bf16
    if fast and training.bf16 is None:
        where = gpu.name if gpu else "this CPU"
        return Decision(value="bf16", reason=f"{where} computes bfloat16 in hardware")
    if gpu and gpu.kind == "cuda" and training.fp16 is None:
        return Decision(value="fp16", reason=f"{gpu.name} has no bfloat16")
    return Decision(value="none", reason="no fast 16-bit format on this device")


def _optimizer(config: Config, machine: Machine) -> Decision:
    wanted = config.training.optim
    if machine.accelerator is None and wanted in GPU_ONLY_OPTIMIZERS:
        return Decision(
            value=GPU_ONLY_OPTIMIZERS[wanted],
            reason=f"{wanted} has no CPU kernels; same update with 32-bit state",
        )
    return Decision(value=wanted, reason="training.optim")


def _attention(config: Config, machine: Machine, size: int) -> Decision:
    if config.model.attn_implementation is not None:
        return Decision(value=config.model.attn_implementation, reason="model.attn_implementation")
    if machine.accelerator is None and size < SMALL_MODEL:
        return Decision(value="eager", reason="fastest for a small model on a CPU")
    return Decision(value=None, reason="left to Unsloth, which knows the architecture")


def _gradient_checkpointing(config: Config, machine: Machine, size: int) -> Decision:
    wanted = config.lora.use_gradient_checkpointing
    if wanted is not None:
        return Decision(value=wanted, reason="lora.use_gradient_checkpointing")
    if machine.accelerator:
        return Decision(value="unsloth", reason="saves memory on the GPU for a little time")
    if size < SMALL_MODEL:
        return Decision(value=False, reason="activations of a small model fit in memory")
    return Decision(value=True, reason="recomputing activations saves memory")


def _effective_batch(config: Config) -> Decision:
    training = config.training
    batch, steps = training.per_device_train_batch_size, training.gradient_accumulation_steps
    processes = training.num_processes
    reason = f"{batch} rows x {steps} accumulated steps"
    return Decision(
        value=batch * steps * processes,
        reason=reason + (f" x {processes} processes" if processes > 1 else ""),
    )


def _needs_best(config: Config) -> bool:
    return (
        config.training.load_best_model_at_end
        or config.training.early_stopping_patience is not None
    )


def _checkpoints(config: Config) -> Decision:
    if _needs_best(config) and config.training.eval_steps is None:
        return Decision(value="epoch", reason="the best one is chosen among those evaluated")
    return Decision(value=f"every {config.training.save_steps} steps", reason="training.save_steps")


def _lora(config: Config, values: dict[str, Any], base: Path) -> dict[str, Any]:
    """Arguments of Unsloth's get_peft_model."""
    lora = config.lora
    targets: list[str] | str = lora.target_modules
    if isinstance(targets, list):
        dropped = [] if lora.finetune_attention_modules else [*ATTENTION]
        dropped += [] if lora.finetune_mlp_modules else [*MLP]
        targets = [name for name in targets if name not in dropped]
    elif not (lora.finetune_attention_modules and lora.finetune_mlp_modules):
        raise ConfigError(
            "all-linear includes attention and MLP: list lora.target_modules to leave some out",
            where="lora.target_modules",
        )
    if not targets:
        raise ConfigError("no module is left to train", where="lora.target_modules")
    if isinstance(targets, list):
        _require_modules(base, targets, "lora.target_modules")
    # A head that is tied to the embeddings has no weights of its own in the file.
    saved = [name for name in lora.modules_to_save if name != "lm_head"]
    _require_modules(base, saved, "lora.modules_to_save")
    return {
        "r": lora.r,
        "lora_alpha": lora.lora_alpha,
        "lora_dropout": lora.lora_dropout,
        "target_modules": targets,
        "modules_to_save": lora.modules_to_save or None,
        "bias": lora.bias,
        "use_rslora": lora.use_rslora,
        "use_dora": lora.use_dora,
        "use_gradient_checkpointing": values["gradient_checkpointing"],
        "random_state": lora.random_state,
    }


def _require_modules(base: Path, names: list[str], field: str) -> None:
    """ConfigError for a module that the model has not: PEFT leaves out what it does not find."""
    weights = [one for found in tensors.folder_tensors(base).values() for one in found]
    known = {part for one in weights for part in one.name.split(".")[:-1] if not part.isdigit()}
    for name in names:
        if name.split(".")[-1] not in known:
            layers = sorted({one.name.split(".")[-2] for one in weights if len(one.shape) == 2})
            raise ConfigError(
                f"the model has no module {name!r}{did_you_mean(name, known)}",
                where=field,
                hint=f"its layers are {', '.join(layers)}; all-linear takes every linear one",
            )


def _trainer(context: Context, values: dict[str, Any]) -> dict[str, Any]:
    """Arguments of TRL's SFTConfig."""
    config, training = context.config, context.config.training
    warmup = training.warmup_steps
    by_epoch = training.eval_steps is None
    best = _needs_best(config)
    arguments: dict[str, Any] = {
        "output_dir": _relative(context, "training.output_dir"),
        "per_device_train_batch_size": training.per_device_train_batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "per_device_eval_batch_size": training.per_device_eval_batch_size
        or training.per_device_train_batch_size,
        "num_train_epochs": training.num_train_epochs,
        "max_steps": training.max_steps or -1,
        "learning_rate": training.learning_rate,
        "warmup_steps": warmup if warmup < 1 else int(warmup),
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "lr_scheduler_type": training.lr_scheduler_type,
        "optim": values["optimizer"],
        "neftune_noise_alpha": training.neftune_noise_alpha,
        "seed": training.seed,
        "data_seed": training.seed,
        "bf16": values["precision"] == "bf16",
        "fp16": values["precision"] == "fp16",
        "logging_steps": training.logging_steps,
        "logging_nan_inf_filter": False,  # it would show the last good loss instead of NaN
        "save_strategy": "epoch" if best and by_epoch else "steps",
        "save_steps": training.save_steps,
        "save_total_limit": training.save_total_limit,
        "eval_strategy": "no" if training.eval_steps == 0 else "epoch" if by_epoch else "steps",
        "eval_steps": training.eval_steps or None,
        "load_best_model_at_end": best,
        "metric_for_best_model": "eval_loss" if best else None,
        "greater_is_better": False if best else None,
        "max_length": config.model.max_seq_length,
        "packing": training.packing,
        # The rows come tokenized and labelled; TRL must not touch them (packing has to).
        "dataset_kwargs": {"skip_prepare_dataset": not training.packing},
        "gradient_checkpointing": False,  # Unsloth's own is set with the adapter
        "ddp_find_unused_parameters": False,  # of several processes; every adapter weight is used
        "dataloader_pin_memory": values["device"] == "cuda",
        "disable_tqdm": True,
        "report_to": values["trackers"] or "none",
        "project": config.wandb.project or config.project.name,  # Trackio's
    }
    run_name = config.tracking.run_name or config.wandb.run_name
    optional = {"run_name": run_name, "tf32": training.tf32}
    return arguments | {name: value for name, value in optional.items() if value is not None}


def _early_stopping(config: Config) -> dict[str, Any] | None:
    training = config.training
    if training.early_stopping_patience is None:
        return None
    return {
        "early_stopping_patience": training.early_stopping_patience,
        "early_stopping_threshold": training.early_stopping_threshold,
    }


def _relative(context: Context, field: str) -> str:
    return context.workspace.relative(context.path(field))
