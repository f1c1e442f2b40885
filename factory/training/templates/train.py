# /// script
# requires-python = ">=3.10"
# dependencies = [
#     "torch==2.13.0", "transformers==5.17.0", "trl==1.15.0", "peft==0.21.2", "datasets==4.8.5",
#     "accelerate==1.15.0", "unsloth==2026.10.9", "unsloth_zoo==2026.10.9",
# ]
# ///
"""Fine-tune a chat model with Unsloth, on the assistant's turns only.

    python scripts/train.py                    train (or go on from the last checkpoint), then save
    python scripts/train.py --check            prove the mask on every row; train nothing
    python scripts/train.py --save gguf        only write the GGUF of what was trained earlier

Everything that can be set is in train.json beside this file; paths in it are relative to the
folder above. This file is a constant: nothing is ever substituted into it. Read it from `main`,
at the end, upwards. The exit code tells what happened:

    0 done   65 the data cannot be trained on   70 loss or gradient is not finite, or diverged
    71 out of memory   74 the disk is full   78 the checkpoints belong to another run
    130 interrupted; 71, 74 and 130 can go on

Several GPUs of one host: torchrun --standalone --nproc-per-node N scripts/train.py
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from training_data import IGNORED, BadData, LengthGrouped, Mask, tokenize, use_template
from training_process import (
    BAD_DATA,
    DISK_FULL,
    DONE,
    FAILED,
    INTERRUPTED,
    NOT_FINITE,
    OTHER_RUN,
    OUT_OF_MEMORY,
    Stop,
    Stopper,
    exit_code,
    explain,
    require_processes,
    tell_parent,
    wait_for_others,
)
from training_state import (
    MANIFEST,
    RANK,
    REPORTED,
    OtherRun,
    Status,
    diverging,
    identity,
    keep_newest,
    newest_valid,
    remove_unsealed,
    seal,
    utc_now,
    write_statistics,
)

FORMATS = ("lora", "merged", "gguf")


# ------------------------------------------------------------------------------ model and trainer


def load(config: dict, source: str):
    """(model, tokenizer) from a model folder or id, or from an adapter folder with its base."""
    import torch
    from unsloth import FastModel

    options = {key: value for key, value in config["model"].items() if value is not None}
    del options["name"]
    template = options.pop("chat_template", None)
    options["dtype"] = getattr(torch, options["dtype"]) if "dtype" in options else None
    model, processor = FastModel.from_pretrained(model_name=source, **options)
    tokenizer = getattr(processor, "tokenizer", processor)
    use_template(tokenizer, template)
    return model, tokenizer


def watcher(config: dict, status: Status, stopper: Stopper, run: dict, seconds_before: float):
    """The trainer's callback: status, guards, sealed checkpoints, orderly stops."""
    from transformers import TrainerCallback

    guards, began = config["guards"], time.monotonic()

    class Watch(TrainerCallback):
        def __init__(self) -> None:
            self.losses: list[float] = []
            self.first_step, self.first_tokens, self.began = 0, math.inf, began
            self.diverged = False

        def on_train_begin(self, args, state, control, **kwargs):
            stopper.check()
            self.first_step, stopper.training = state.global_step, True
            self.began = time.monotonic()
            total = {"total_steps": state.max_steps, "total_epochs": state.num_train_epochs}
            total["device"] = str(args.device)
            status.update(phase="training", step=state.global_step, **total)

        def on_log(self, args, state, control, logs, **kwargs):
            logs = {key: logs[key] for key in logs if key in REPORTED}
            for name in ("loss", "grad_norm", "eval_loss"):
                if not math.isfinite(logs.get(name, 0.0)):
                    raise Stop(NOT_FINITE, f"{name} is {logs[name]} at step {state.global_step}")
            if not logs:
                return
            elapsed = max(time.monotonic() - self.began, 1e-6)
            if "num_tokens" in logs:
                logs["tokens_seen"] = int(logs.pop("num_tokens"))
                self.first_tokens = min(self.first_tokens, logs["tokens_seen"])
                new_tokens = logs["tokens_seen"] - self.first_tokens
                logs["tokens_per_second"] = round(new_tokens / elapsed, 1)
            pace = elapsed / max(state.global_step - self.first_step, 1)
            left = max(state.max_steps - state.global_step, 0)
            logs["progress_percent"] = round(100 * state.global_step / max(state.max_steps, 1), 1)
            logs["eta_seconds"] = round(left * pace, 1)
            status.record(step=state.global_step, epoch=state.epoch, **logs)
            if "loss" in logs:
                self._guard_against_divergence(logs["loss"])

        def _guard_against_divergence(self, loss: float) -> None:
            self.losses.append(loss)
            window, factor = guards["divergence_window"], guards["divergence_factor"]
            text = None if self.diverged else diverging(self.losses, window, factor)
            if text:
                self.diverged = True
                if guards["stop_on_divergence"]:
                    raise Stop(NOT_FINITE, text)
                status.warn(text)

        def on_step_end(self, args, state, control, **kwargs):
            if stopper.asked(args.device):
                control.should_save = control.should_training_stop = True
            if state.global_step in (1, state.max_steps):
                control.should_log = True  # the first and the last, however few there are

        def on_evaluate(self, args, state, control, **kwargs):
            if control.should_training_stop:  # early stopping: keep where it stopped
                control.should_save = True

        def on_save(self, args, state, control, model=None, **kwargs):
            wait_for_others()  # each process writes its own random state
            if RANK == 0:
                require_finite(model)
                seconds = seconds_before + time.monotonic() - began
                finished = control.should_training_stop and not stopper.signal
                folder = Path(args.output_dir, f"checkpoint-{state.global_step}")
                seal(folder, run, step=state.global_step, seconds=seconds, finished=finished)
                keep_newest(
                    config["trainer"]["save_total_limit"], folder, state.best_model_checkpoint
                )
                status.update(checkpoint_at=utc_now())

    return Watch()


def require_finite(model) -> None:
    """Stop(NOT_FINITE) if a trained tensor holds NaN or infinity."""
    for name, tensor in model.named_parameters():
        if tensor.requires_grad and not tensor.isfinite().all():
            raise Stop(NOT_FINITE, f"{name} holds NaN or infinity")


def build_trainer(config: dict, model, tokenizer, data: dict, watch):
    """TRL's trainer on rows that are tokenized and labelled already."""
    from transformers import EarlyStoppingCallback, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    settings = config["trainer"] | {"save_total_limit": None}  # old ones go after the new is sealed
    if config["embedding_learning_rate"]:  # embed_tokens and lm_head learn at their own rate
        from unsloth import UnslothTrainer as SFTTrainer
        from unsloth import UnslothTrainingArguments as SFTConfig

        settings["embedding_learning_rate"] = config["embedding_learning_rate"]
    arguments, callbacks = SFTConfig(**settings), [watch]
    if config["early_stopping"]:
        callbacks.insert(0, EarlyStoppingCallback(**config["early_stopping"]))
    trainer = SFTTrainer(
        model=model, processing_class=tokenizer, args=arguments, callbacks=callbacks,
        train_dataset=data["train"], eval_dataset=data["validation"],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    if config["data"]["group_by_length"]:
        batch = arguments.train_batch_size * arguments.gradient_accumulation_steps
        order = LengthGrouped(data["train"]["length"], batch * arguments.world_size, arguments.seed)
        trainer._get_train_sampler = lambda *_: order
    require_labels_kept(trainer, data["train"])
    return trainer


def require_labels_kept(trainer, rows) -> None:
    """Stop(BAD_DATA) if the trainer's own batch has other labels than were proven (pad == eos)."""
    sample = [rows[index] for index in range(min(8, len(rows)))]
    batch = trainer.data_collator([{k: row[k] for k in ("input_ids", "labels")} for row in sample])
    trained = [label for row in sample for label in row["labels"] if label != IGNORED]
    if batch["labels"][batch["labels"] != IGNORED].tolist() != trained:
        raise Stop(BAD_DATA, "the trainer's collator changes the labels that were proven")


# -------------------------------------------------------------------------------------- main path


def train(config: dict, status: Status, stopper: Stopper, fresh: bool, only_check: bool):
    """Train to the end; returns (model, tokenizer), the statistics are written."""
    status.update(phase="loading_model")
    model, tokenizer = load(config, config["model"]["name"])
    if config["lora"]:
        from unsloth import FastModel

        model = FastModel.get_peft_model(model, **config["lora"])
    status.update(phase="checking_mask")
    mask, counts = Mask(tokenizer), {name: Counter() for name in ("train", "validation")}
    data = {
        name: tokenize(Path(config["data"][name]), mask, config, counts[name]) for name in counts
    }
    status.say(f"mask proven on every row: {json.dumps(counts)}")
    if not len(data["train"]):
        raise Stop(BAD_DATA, f"no row is left to train on: {json.dumps(counts['train'])}")
    data["validation"] = data["validation"] if len(data["validation"]) else None
    if only_check:
        return model, tokenizer
    output, run = Path(config["trainer"]["output_dir"]), identity(config)
    checkpoint = None if fresh else newest_valid(output, run, status.warn)
    sealed = json.loads((checkpoint / MANIFEST).read_text()) if checkpoint else {}
    before = sealed.get("seconds", 0.0)
    began = time.monotonic()
    watch = watcher(config, status, stopper, run, before)
    trainer = build_trainer(config, model, tokenizer, data, watch)
    if checkpoint:
        status.say(f"going on from {checkpoint}")
    if sealed.get("finished"):
        restore(trainer, checkpoint)
    else:
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        except BaseException:
            remove_unsealed(output / f"checkpoint-{trainer.state.global_step}")
            raise
    stopper.training = False
    signal.alarm(0)
    if stopper.signal:
        raise Stop(INTERRUPTED, f"stopped by {stopper.signal}, checkpoint saved")
    require_finite(model)
    seconds = before if sealed.get("finished") else before + time.monotonic() - began
    extra = {"resumed_from_step": sealed.get("step"), "mask": counts, "duration_seconds": seconds}
    if RANK == 0:
        write_statistics(config, trainer, status, extra)
    return model, tokenizer


def restore(trainer, checkpoint: Path) -> None:
    """Take over a training that was finished, without a step."""
    from transformers import TrainerState

    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    best = trainer.state.best_model_checkpoint if trainer.args.load_best_model_at_end else None
    trainer._load_from_checkpoint(best or str(checkpoint))


@contextlib.contextmanager
def replacing(target: Path):
    """A new folder that takes the place of `target` when the block ends without an error."""
    partial, old = (target.with_name(f".{target.name}.{suffix}") for suffix in ("partial", "old"))
    for leftover in (partial, old):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:  # on a full disk half a model takes the room of what is still to come
        shutil.rmtree(partial, ignore_errors=True)
        raise
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def scratch(folder: Path):
    """An empty folder that is gone when the block ends."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def save(config: dict, formats: list[str], model, tokenizer, status: Status, check) -> None:
    """Write adapter, merged 16-bit model and GGUF files, each complete or not at all."""
    from transformers.trainer import align_special_tokens

    align_special_tokens(model, tokenizer)  # as training does; here for what was trained earlier
    paths = config["save"]
    check()
    if "lora" in formats:
        status.update(phase="saving_lora")
        with replacing(Path(paths["lora"])) as folder:
            model.save_pretrained(str(folder))
            tokenizer.save_pretrained(str(folder))
            (folder / "README.md").unlink(missing_ok=True)  # PEFT's form, not filled in
    check()
    if "merged" in formats:
        status.update(phase="saving_merged")
        with replacing(Path(paths["merged"])) as folder:
            model.save_pretrained_merged(str(folder), tokenizer, save_method="merged_16bit")
    check()
    if "gguf" in formats:
        status.update(phase="saving_gguf")
        # Unsloth names files after the folder; on some devices it writes beside it.
        with scratch(Path(paths["gguf"], ".partial")) as work:
            folder, wanted = work / paths["gguf_name"], paths["gguf_quantization"]
            folder.mkdir()
            model.save_pretrained_gguf(str(folder), tokenizer, quantization_method=wanted)
            written = list(work.rglob("*.gguf"))
            for name in wanted:
                found = [file for file in written if file.stem.lower().endswith(name)]
                if len(found) != 1:
                    text = f"Unsloth wrote {len(found)} GGUF files of type {name}, not one"
                    raise RuntimeError(text)
                os.replace(found[0], Path(paths["gguf"], f"{paths['gguf_name']}-{name}.gguf"))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("--config", type=Path, default=here / "train.json")
    parser.add_argument("--root", type=Path, default=here.parent, help="what its paths start from")
    parser.add_argument("--save", action="append", choices=FORMATS, help="save this; do not train")
    parser.add_argument("--fresh", action="store_true", help="ignore checkpoints")
    parser.add_argument("--check", action="store_true", help="prove the mask, train nothing")
    parser.add_argument("--attempt", type=int, default=1, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    config = json.loads(options.config.read_text(encoding="utf-8"))
    if options.save and "lora" in options.save and not config["lora"]:
        print("error: every weight is trained, there is no adapter to save")
        return BAD_DATA
    os.chdir(options.root)
    threads = config["threads"]
    if threads:  # before torch is loaded; on tiny models two threads are slower than one
        os.environ |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", f"logs/tensorboard/{config['run_id']}")
    os.environ |= {"UNSLOTH_DISABLE_STATISTICS": "1", "TOKENIZERS_PARALLELISM": "false"}
    files = None if options.save or options.check else config["files"]
    status = Status(files, run_id=config["run_id"], attempt=options.attempt)
    stopper = Stopper()
    try:
        require_processes(1 if options.save or options.check else config["num_processes"])
        import unsloth  # noqa: F401  (first: it patches transformers, trl and peft)

        if options.save:
            model, tokenizer = load(config, config["save"]["lora" if config["lora"] else "merged"])
        else:
            model, tokenizer = train(config, status, stopper, options.fresh, options.check)
        if not options.check and RANK == 0:
            formats = options.save or config["save"]["formats"]
            save(config, formats, model, tokenizer, status, stopper.check)
    except (Exception, Stop) as error:
        code = exit_code(error, {BadData: BAD_DATA, OtherRun: OTHER_RUN})
        text = explain(code, error)
        status.end("interrupted" if code == INTERRUPTED else "failed", text)
        if code in (FAILED, OUT_OF_MEMORY, DISK_FULL):
            traceback.print_exc()
        print(f"error: {text}", flush=True)
        tell_parent(code, text)
        return code
    status.end("completed")
    return DONE


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # PEFT saves sets: let them always be in one order
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PYTHONHASHSEED": "0"})
    sys.exit(main())
