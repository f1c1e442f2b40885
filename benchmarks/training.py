"""Training: our script against the bare Unsloth script, in CPU seconds of the training loop.

    python benchmarks/training.py            measure, and write the table into docs/benchmarks.md

Each comparison runs both sides in turn, several times, and reports the ratio of medians. CPU
seconds, not wall seconds: they hardly change when other processes share the cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import report  # noqa: E402
from factory import config as configuration  # noqa: E402
from factory import hardware, kit, status, storage  # noqa: E402
from factory.console import Console  # noqa: E402
from factory.context import Context  # noqa: E402
from factory.training import script  # noqa: E402
from factory.training.templates import training_state  # noqa: E402
from factory.workspace import Workspace  # noqa: E402

STEPS, SAVE_STEPS = 30, 10  # of the run that is killed

# Put around Trainer.train in both processes, so that both are measured by the same clock.
CLOCK = """
import sys, threading, time

def patch():
    while not hasattr(sys.modules.get("transformers.trainer"), "Trainer"):
        time.sleep(0.005)
    trainer = sys.modules["transformers.trainer"].Trainer
    usual = trainer._inner_training_loop

    def timed(self, *arguments, **options):
        began = time.process_time()
        try:
            return usual(self, *arguments, **options)
        finally:
            print(f"@clock {time.process_time() - began}", flush=True)

    trainer._inner_training_loop = timed

threading.Thread(target=patch, daemon=True).start()
"""

# What Unsloth's documentation shows, with the same settings: no status, no proof, no guards.
BARE = """
import json, os
os.chdir({root!r})
settings = json.load(open("scripts/train.json"))
import torch
from unsloth import FastModel
from unsloth.chat_templates import train_on_responses_only
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

options = {{k: v for k, v in settings["model"].items() if v is not None and k != "name"}}
options["dtype"] = getattr(torch, options["dtype"])
model, tokenizer = FastModel.from_pretrained(settings["model"]["name"], **options)
model = FastModel.get_peft_model(model, **settings["lora"])
rows = [json.loads(line) for line in open(settings["data"]["train"])]
texts = [
    tokenizer.apply_chat_template(row["conversations"], tools=row.get("tools"), tokenize=False)
    for row in rows
]
trainer_settings = {{**settings["trainer"], "dataset_kwargs": None, "dataset_text_field": "text"}}
trainer_settings.update(save_strategy="no", eval_strategy="no", output_dir="bare", report_to="none")
trainer = SFTTrainer(
    model=model, processing_class=tokenizer, args=SFTConfig(**trainer_settings),
    train_dataset=Dataset.from_dict({{"text": texts}}),
)
trainer = train_on_responses_only(
    trainer, "<|im_start|>user\\n", "<|im_start|>assistant\\n"
)
trainer.train()
"""


def row(number: int, words: int) -> dict[str, Any]:
    """A chat row of about `words` words."""
    choose = random.Random(number)
    question = " ".join(choose.choice(["red", "green", "blue", "cyan"]) for _ in range(words))
    return {
        "conversations": [
            {"role": "user", "content": f"Repeat: {question}"},
            {"role": "assistant", "content": question[:40]},
        ],
        "id": f"row-{number}",
    }


def workspace(folder: Path, lengths: list[int], **training: Any) -> Context:
    """A workspace with one row for each of `lengths`."""
    shutil.copytree(ROOT / "models/base", folder / "models/base")
    splits = folder / "data/splits"
    splits.mkdir(parents=True)
    lines = [json.dumps(row(number, words)) for number, words in enumerate(lengths)]
    (splits / "train.jsonl").write_text("\n".join(lines) + "\n")
    (splits / "val.jsonl").write_text("\n".join(lines[:4]) + "\n")
    values = {
        "model": {"max_seq_length": 1024},
        "training": {
            "per_device_train_batch_size": 8,
            "gradient_accumulation_steps": 1,
            "num_train_epochs": 1,
            "learning_rate": 1e-3,
            "eval_steps": 0,
            "save_steps": 100000,
            "optim": "adamw_torch_fused",
            **training,
        },
    }
    context = Context(Workspace(folder), configuration.validate(values), Console(quiet=True))
    settings = script.resolve(context, hardware.detect()).settings
    settings["save"]["formats"] = []
    script.write(context, settings)
    return context


def measure(context: Context, program: Path) -> tuple[float, str]:
    """(CPU seconds of the training loop, output) of one run from step zero."""
    root = context.workspace.root
    shutil.rmtree(context.path("training.output_dir"), ignore_errors=True)
    site = root / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(CLOCK)
    variables = {
        **os.environ,
        **kit.require().environment(),
        "PYTHONPATH": str(site),
        "PYTHONHASHSEED": "0",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "UNSLOTH_DISABLE_STATISTICS": "1",
    }
    answer = subprocess.run(
        [sys.executable, str(program)], cwd=root, env=variables, capture_output=True, text=True
    )
    found = re.search(r"@clock ([0-9.]+)", answer.stdout)
    if answer.returncode or not found:
        raise SystemExit(answer.stdout[-2000:] + answer.stderr[-2000:])
    return float(found[1]), answer.stdout


def against_bare(folder: Path, runs: int) -> dict[str, Any]:
    """Ours and the bare script: same rows in the same order, the same settings."""
    lengths = [60] * 320
    context = workspace(folder / "bare", lengths, group_by_length=False)
    settings = storage.read_json(context.workspace.script_config)
    settings["trainer"]["save_strategy"] = "no"  # steps are compared; the bare script saves nothing
    script.write(context, settings)
    bare = context.workspace.root / "bare.py"
    bare.write_text(BARE.format(root=str(context.workspace.root)))
    ours, theirs = [], []
    for _ in range(runs):
        ours.append(measure(context, context.workspace.script)[0])
        theirs.append(measure(context, bare)[0])
    steps = len(lengths) / 8
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "ours": statistics.median(ours) / steps,
        "bare": statistics.median(theirs) / steps,
    }


def bucketing(folder: Path, runs: int) -> dict[str, Any]:
    """Rows of uneven length, with and without batches of similar length."""
    choose = random.Random(0)
    lengths = [int(10 * 60 ** choose.random()) for _ in range(320)]
    grouped = workspace(folder / "grouped", lengths, group_by_length=True)
    mixed = workspace(folder / "mixed", lengths, group_by_length=False)
    fast, slow = [], []
    for _ in range(runs):
        fast.append(measure(grouped, grouped.workspace.script)[0])
        slow.append(measure(mixed, mixed.workspace.script)[0])
    ratios = [without / having for without, having in zip(slow, fast, strict=True)]
    return {"ratio": statistics.median(ratios), "ratios": ratios}


def status_cost(folder: Path, step_seconds: float) -> dict[str, Any]:
    """Seconds of one logged step's status and history, as a share of a training step."""
    files = {"status": str(folder / "s" / "status.json"), "history": str(folder / "s" / "h.jsonl")}
    live = training_state.Status(files, run_id="bench", attempt=1)
    began = time.process_time()
    for number in range(2000):
        live.record(step=number, epoch=0.1, loss=1.0, grad_norm=1.0, learning_rate=1e-3)
    each = (time.process_time() - began) / 2000
    live.ended.set()
    return {"microseconds": each * 1e6, "share": each / step_seconds}


def resume(folder: Path, runs: int) -> dict[str, Any]:
    """CPU seconds that a kill -9 and a second start cost over an undisturbed run; same adapter?"""
    usual = resumable(folder / "usual")
    whole, expected = [train_killed(usual, None)], adapter(usual)
    extra, same = [], 0
    for number in range(runs):
        context = resumable(folder / f"killed-{number}")
        step = random.Random(number).randint(SAVE_STEPS, STEPS - 2)
        spent = train_killed(context, step) + train_killed(context, None)
        extra.append(spent - whole[0])
        same += adapter(context) == expected
    return {"extra": statistics.median(extra), "worst": max(extra), "same": same, "of": runs}


def resumable(folder: Path) -> Context:
    """A workspace that trains STEPS steps and saves the adapter."""
    context = workspace(folder, [60] * 320, max_steps=STEPS, save_steps=SAVE_STEPS)
    settings = script.resolve(context, hardware.detect()).settings
    settings["save"]["formats"] = ["lora"]
    script.write(context, settings)
    return context


def adapter(context: Context) -> str:
    path = context.path("save.lora_path") / "adapter_model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest()


def train_killed(context: Context, step: int | None) -> float:
    """CPU seconds of one start of the script, killed once `step` is done (None: not)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, **kit.require().environment(), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, str(context.workspace.script)],
        cwd=context.workspace.root,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while step is not None and process.poll() is None:
        known = status.read(context.workspace)
        if known and known["pid"] == process.pid and known["step"] >= step:
            process.kill()
        time.sleep(0.02)
    if process.wait() != (0 if step is None else -signal.SIGKILL):
        raise SystemExit(f"the script ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pairs(found: dict[str, Any], name: str) -> str:
    """The single measurements behind a median."""
    return ", ".join(f"{value:.3f}" for value in found[name])


def table(found: dict[str, Any], runs: int) -> str:
    """The Markdown section."""
    bare, grouped, status, again = (
        found[name] for name in ("bare", "bucketing", "status", "resume")
    )
    interval = SAVE_STEPS * bare["ours"]
    command = f"python benchmarks/training.py --runs {runs}"
    return f"""{report.made_with(command, "torch", "transformers", "trl", "peft", "unsloth")}

| what | against | measured | bar |
|---|---|---|---|
| CPU time of a training step | the bare Unsloth script, same model, rows, order and settings | \
{bare["ratio"]:.3f}x ({bare["ours"] * 1e3:.0f} ms, bare {bare["bare"] * 1e3:.0f} ms; \
pairs {pairs(bare, "ratios")}) | at most 1.01x |
| tokens per CPU second, rows of 10 to 600 words | the same without length bucketing | \
{grouped["ratio"]:.2f}x (pairs {pairs(grouped, "ratios")}) | at least 1.5x |
| status and history of one step | that step | \
{status["share"] * 100:.2f} % ({status["microseconds"]:.0f} µs) | at most 0.5 % |
| kill -9 at a random step, then a second start, CPU time | an undisturbed run | \
{again["extra"]:.1f} s more, at worst {again["worst"]:.1f} s; {again["same"]} of {again["of"]} \
adapters have the same SHA-256 | at most one save interval ({interval:.1f} s) + 15 s; same SHA-256 |

Medians of {runs} pairs, both sides in turn, one thread, `models/base`, batches of 8. A ratio is the
median of the pairs' ratios. The third row is against the step of the first. The last one trains
{STEPS} steps with a checkpoint every {SAVE_STEPS}; most of what it costs is loading once more.
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found["bare"] = against_bare(folder, options.runs)
        print(found, flush=True)
        found["status"] = status_cost(folder, found["bare"]["bare"])
        found["resume"] = resume(folder, options.runs)
        print(found, flush=True)
        found["bucketing"] = bucketing(folder, options.runs)
    print(found, flush=True)
    report.replace_section("training", table(found, options.runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
