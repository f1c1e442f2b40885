"""What a training run leaves on disk while it runs: status, history, sealed checkpoints.

Copied to scripts/training_state.py beside train.py. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEARTBEAT_SECONDS = 2.0
MANIFEST = "manifest.json"
REPORTED = ("loss", "grad_norm", "learning_rate", "eval_loss", "num_tokens")
BATCH = ("per_device_train_batch_size", "gradient_accumulation_steps")
RANK = int(os.environ.get("RANK", "0"))  # of several processes, only 0 writes
NOT_DECISIVE = (
    "per_device_eval_batch_size",
    "output_dir",
    "save_total_limit",
    "report_to",
    "run_name",
    "project",
)


class OtherRun(Exception):
    """The checkpoints belong to a run with other settings or data."""


class Status:
    """What a reader may know at any moment: one file, replaced whole, beating every two seconds.

    Trouble with it (disk full, read-only) is told once and never stops the training. Of several
    processes, rank 0 writes; the others keep to themselves. So does one without `files`, which
    does not train: what is known of the training stays.
    """

    def __init__(self, files: dict | None, **values: Any) -> None:
        self.writes = RANK == 0 and files is not None
        self.path, self.history = (
            Path((files or {}).get(key, "")) for key in ("status", "history")
        )
        unknown = (
            "step total_steps epoch total_epochs loss learning_rate eta_seconds checkpoint_at "
            "completed_at error grad_norm eval_loss tokens_seen tokens_per_second memory_gb device"
        )
        self.values: dict[str, Any] = dict.fromkeys(unknown.split())
        self.values |= {"running": True, "phase": "starting", "progress_percent": 0.0, "step": 0}
        now = utc_now()
        self.values |= {"started_at": now, "last_updated": now}
        self.values |= {"pid": os.getpid(), "boot_id": boot_id()}
        self.values |= {"peak_memory_gb": 0.0, "warnings": [], **values}
        self.lock, self.ended, self.silent = threading.RLock(), threading.Event(), False
        self.update()
        if self.writes:
            threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self.ended.wait(HEARTBEAT_SECONDS):
            self.update()

    def update(self, **values: Any) -> None:
        """Change fields and publish."""
        now = utc_now()
        with self.lock:
            if values:
                self.values |= {key: plain(value) for key, value in values.items()}
                self.values["last_updated"] = now
            self.values |= {"heartbeat_at": now, **memory(self.values["peak_memory_gb"])}
            self._guarded(self._replace)
        if RANK == 0 and values and os.environ.get("FACTORY_EVENTS"):
            print("@factory " + json.dumps(self.values, allow_nan=False), flush=True)

    def record(self, **values: Any) -> None:
        """`update`, and one line for the history."""
        self.update(**values)
        keys = ("run_id", "attempt", "last_updated", "step", "epoch", "phase", "eta_seconds")
        line = {key: self.values[key] for key in keys} | {k: plain(v) for k, v in values.items()}
        self._guarded(lambda: self._append(json.dumps(line, allow_nan=False) + "\n"))

    def warn(self, text: str) -> None:
        """Add a warning for the reader, and say it."""
        self.say(f"warning: {text}")
        self.update(warnings=[*self.values["warnings"], text])

    def say(self, text: str) -> None:
        """Print, once for all processes."""
        if RANK == 0:
            print(text, flush=True)

    def end(self, phase: str, error: str | None = None) -> None:
        """The last state of this process."""
        self.ended.set()
        finished = utc_now() if phase == "completed" else None
        self.update(
            phase=phase, running=False, error=error, completed_at=finished, eta_seconds=None
        )

    def _replace(self) -> None:
        write_json(self.path, self.values, lasting=False)

    def _append(self, line: str) -> None:
        with self.history.open("a", encoding="utf-8") as file:
            file.write(line)

    def _guarded(self, write: Callable[[], None]) -> None:
        if not self.writes:
            return
        try:
            write()
        except OSError as error:
            if not self.silent:
                print(f"warning: the status cannot be written ({error}); going on", flush=True)
            self.silent = True


def plain(value: Any) -> Any:
    """A value as JSON can hold it: NaN and Infinity become null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def utc_now() -> str:
    return (
        time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        + f".{time.time_ns() // 10**6 % 1000:03d}Z"
    )


def boot_id() -> str | None:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return None


def memory(peak_so_far: float) -> dict:
    """Memory in GiB: of the GPU where there is one, else resident memory of this process."""
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized():
        used, peak = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()
    else:
        try:
            used = peak = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf(
                "SC_PAGESIZE"
            )
        except OSError:  # not Linux
            return {"memory_gb": None, "peak_memory_gb": peak_so_far}
    gib = 1024**3
    return {
        "memory_gb": round(used / gib, 3),
        "peak_memory_gb": max(peak_so_far, round(peak / gib, 3)),
    }


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def fingerprint(path: Path) -> str:
    """Hash of a small file, size of a large one (weights: hashing 60 GB would cost a minute)."""
    size = path.stat().st_size
    return sha256(path) if size < 1 << 26 else f"{size} bytes"


def identity(config: dict, root: Path = Path()) -> dict:
    """What decides the weights: a checkpoint of another identity is never continued.

    How the effective batch is cut up, where files lie and what is logged do not decide them.
    """
    trainer = config["trainer"]
    free = {*BATCH, *NOT_DECISIVE}
    settings = {key: value for key, value in trainer.items() if key not in free}
    settings["effective_batch"] = math.prod(trainer[key] for key in BATCH) * config["num_processes"]
    base = sorted((root / config["model"]["name"]).glob("*"))
    files = {path.name: fingerprint(path) for path in base if path.is_file()}
    data = {key: sha256(root / config["data"][key]) for key in ("train", "validation")}
    chosen = {key: config[key] for key in ("model", "lora", "threads", "early_stopping")}
    return {**chosen, "trainer": settings, "data": {**config["data"], **data}, "base": files}


def write_json(path: Path, value: Any, lasting: bool = True) -> None:
    """Replace `path`: a reader sees the old file or the new one; `lasting`: after a power cut, too.

    The status is not lasting: it is written often, and means nothing after a reboot.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if lasting:
            sync(temporary)
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if lasting:
        sync(path.parent)


def sync(path: Path) -> None:
    """Have a file, or a folder's names, on the disk itself."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(checkpoint: Path, run: dict, **values: Any) -> None:
    """Write the manifest of a finished checkpoint, last; without it the checkpoint is not valid."""
    (checkpoint / "training_args.bin").unlink(
        missing_ok=True
    )  # a pickle, with tokens in plain text
    (checkpoint / f".{MANIFEST}.tmp").unlink(missing_ok=True)  # of a process killed right here
    written = [file for file in sorted(checkpoint.iterdir()) if file.name != MANIFEST]
    for file in written:
        sync(file)
    files = {file.name: sha256(file) for file in written}
    write_json(checkpoint / MANIFEST, {"run": run, "files": files, **values})


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders, the newest first."""
    found = folder.glob("checkpoint-*")
    return sorted((f for f in found if f.name[11:].isdigit()), key=lambda f: -int(f.name[11:]))


def keep_newest(limit: int, newest: Path, best: str | None) -> None:
    """Delete sealed checkpoints older than the `limit` newest, except the best one.

    Called when `newest` is sealed, so that a crash at any moment leaves one to go on from. (The
    trainer's own rotation comes before that, and goes by the clock.)
    """
    sealed = [folder for folder in checkpoints(newest.parent) if (folder / MANIFEST).is_file()]
    for old in sealed[sealed.index(newest) + limit :]:
        if best is None or old.name != Path(best).name:
            (old / MANIFEST).unlink()  # from here on it is none, even if it goes half-way only
            shutil.rmtree(old)


def remove_unsealed(checkpoint: Path) -> None:
    """Delete what a failed save left of a checkpoint: on a full disk it takes others' room."""
    if not (checkpoint / MANIFEST).is_file():
        shutil.rmtree(checkpoint, ignore_errors=True)


def fault(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    if not (checkpoint / MANIFEST).exists():
        return f"incomplete: it was not finished, {MANIFEST} is missing"
    try:
        files = json.loads((checkpoint / MANIFEST).read_text())["files"]
    except (OSError, ValueError, KeyError) as error:
        return f"damaged: {MANIFEST} cannot be read ({type(error).__name__})"
    for name, digest in files.items():
        if not (checkpoint / name).exists():
            return f"damaged: {name} is missing"
        if sha256(checkpoint / name) != digest:
            return f"damaged: {name} is not what was saved"
    return None


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """`key: old -> new` of all that differs in two nested dictionaries."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [f"{name}: {old!r} -> {new!r}"] if old != new else []
    keys = sorted({*old, *new})
    return [d for k in keys for d in differences(old.get(k), new.get(k), f"{name}.{k}".strip("."))]


def newest_valid(folder: Path, run: dict, warn: Callable[[str], None]) -> Path | None:
    """The checkpoint to go on from. OtherRun if it belongs to another run."""
    for checkpoint in checkpoints(folder):
        if reason := fault(checkpoint):
            warn(f"{checkpoint.name} is skipped, {reason}")
            continue
        if changed := differences(json.loads((checkpoint / MANIFEST).read_text())["run"], run):
            raise OtherRun(f"{checkpoint.name} belongs to another run: {'; '.join(changed[:5])}")
        return checkpoint
    return None


def diverging(losses: list[float], window: int, factor: float) -> str | None:
    """What to say of losses whose mean over a window is far above the least such mean, or None.

    Means are compared with means: a single batch is often a third of its neighbours.
    """
    if len(losses) < window:
        return None
    means = [sum(losses[end - window : end]) / window for end in range(window, len(losses) + 1)]
    if means[-1] <= factor * min(means):
        return None
    return f"the loss diverges: {means[-1]:.3g} over {window} logged steps, it was {min(means):.3g}"


# ------------------------------------------------------------------------------------- statistics


def write_statistics(config: dict, trainer: Any, status: Status, extra: dict) -> None:
    """metrics/training-stats.json: what was trained, on what, and the curve."""
    state, args = trainer.state, trainer.args
    keys = ("step", "epoch", *REPORTED)
    logged = [entry for entry in state.log_history if "loss" in entry or "eval_loss" in entry]
    curve = [{key: entry[key] for key in keys if key in entry} for entry in logged]
    losses = [point["loss"] for point in curve if "loss" in point]
    evaluated = [point["eval_loss"] for point in curve if "eval_loss" in point]
    parameters = list(trainer.model.parameters())
    seconds = extra["duration_seconds"] = round(extra["duration_seconds"], 3)
    tokens = int(extra["mask"]["train"]["tokens"] * (state.epoch or 0))
    batch, steps = args.per_device_train_batch_size, args.gradient_accumulation_steps
    values = {
        "schema_version": 1,
        "run_id": status.values["run_id"],
        "attempt": status.values["attempt"],
        "initial_loss": losses[0] if losses else None,
        "final_loss": losses[-1] if losses else None,
        "training_loss": sum(losses) / len(losses) if losses else None,
        "eval_loss": evaluated[-1] if evaluated else None,
        "best_eval_loss": min(evaluated, default=None),
        "best_step": state.best_global_step,
        "total_steps": state.global_step,
        "epochs": state.epoch,
        "samples": len(trainer.train_dataset),
        "tokens_seen": tokens,
        "tokens_per_second": round(tokens / max(seconds, 1e-6), 1),
        "trainable_parameters": sum(p.numel() for p in parameters if p.requires_grad),
        "total_parameters": sum(p.numel() for p in parameters),
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": steps,
        "effective_batch_size": batch * steps * args.world_size,
        "peak_memory_gb": status.values["peak_memory_gb"],
        "device": str(args.device),
        "dtype": "bfloat16" if args.bf16 else "float16" if args.fp16 else "float32",
        "warnings": status.values["warnings"],
        **extra,
        "curve": curve,
    }
    write_json(Path(config["files"]["stats"]), values)
