"""The demo with several training seeds: python -m benchmarks.demo [--seeds 3407 1 2]

Runs format and baseline once, then finetune, evaluate and export for each seed, each from a fresh
copy of the workspace. CPU time and peak memory are the operating system's own, children included.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import report

ROOT = Path(__file__).parents[1]
METRICS = ("exact_match", "tool_accuracy", "parameter_f1")
TARGETS = {"exact_match": 0.90, "tool_accuracy": 0.95, "parameter_f1": 0.92}
GIB = 1024 * 1024  # the kernel counts in KiB


def factory(folder: Path, *arguments: str) -> dict[str, float]:
    """Run one command; return its CPU seconds and the peak memory of its largest process, GiB."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "factory", *arguments]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    if code:
        raise SystemExit(f"{' '.join(arguments)}: exit code {os.waitstatus_to_exitcode(code)}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "gib": usage.ru_maxrss / GIB}


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text())
    return values


def measure_seed(prepared: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Train, evaluate and export with one seed; what came out and what it cost."""
    shutil.copytree(prepared, folder)
    config = read(folder / "training-config.json")
    config.setdefault("training", {})["seed"] = seed
    config.setdefault("lora", {})["random_state"] = seed
    (folder / "training-config.json").write_text(json.dumps(config))
    costs = {stage: factory(folder, "run", stage) for stage in ("finetune", "evaluate", "export")}
    evaluation = read(folder / "metrics" / "evaluation.json")
    gate = read(folder / ".factory" / "gates" / "export.json")
    gguf = next(check for check in gate["checks"] if check["id"] == "export.gguf.q8_0")
    return {
        "seed": seed,
        **{metric: evaluation["metrics"][metric] for metric in METRICS},
        "seen": evaluation["per_tag"]["phrasing"]["seen"]["exact_match"],
        "unseen": evaluation["per_tag"]["phrasing"]["unseen"]["exact_match"],
        "low": evaluation["improvement"]["exact_match"]["low"],
        "gguf": gguf["why"],
        "costs": costs,
    }


def prepare(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """A demo workspace after format and baseline; the baseline's metrics and the costs."""
    factory(folder.parent, "init", str(folder), "--demo")
    costs = {stage: factory(folder, "run", stage) for stage in ("format", "baseline")}
    return read(folder / "metrics" / "baseline.json")["metrics"], costs


def document(base: dict[str, Any], early: dict[str, Any], runs: list[dict[str, Any]]) -> str:
    """The section of docs/benchmarks.md."""
    means = {metric: statistics.mean(run[metric] for run in runs) for metric in METRICS}
    rows = [
        (run["seed"], *(run[metric] for metric in METRICS), run["seen"], run["unseen"], run["low"])
        for run in runs
    ]
    quality = report.table(
        ["seed", *METRICS, "seen phrasings", "unseen phrasings", "improvement, lower bound"], rows
    )
    targets = report.table(
        ["metric", "base model", "fine-tuned, mean", "target", "reached"],
        [
            (
                metric,
                base[metric],
                means[metric],
                target,
                "yes" if means[metric] >= target else "no",
            )
            for metric, target in TARGETS.items()
        ],
    )
    costs = {**early, **runs[0]["costs"]}
    spent = report.table(
        ["stage", "CPU s", "peak GiB"],
        [(stage, round(cost["cpu"]), cost["gib"]) for stage, cost in costs.items()]
        + [("all", round(sum(cost["cpu"] for cost in costs.values())), _peak(costs))],
    )
    ggufs = "\n".join(f"- seed {run['seed']}: {run['gguf']}" for run in runs)
    made = report.made_with("python -m benchmarks.demo", "torch", "transformers", "unsloth")
    return "\n\n".join(
        [made, f"{base['rows']} test rows.", targets, quality, "Q8_0 GGUF:\n\n" + ggufs, spent]
    )


def _peak(costs: dict[str, dict[str, float]]) -> float:
    return max(cost["gib"] for cost in costs.values())


def main() -> None:
    """Measure every seed and write the section."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[3407, 1, 2])
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory(prefix="factory-demo-") as folder:
        prepared = Path(folder, "prepared")
        base, costs = prepare(prepared)
        runs = []
        for seed in seeds:
            started = time.monotonic()
            runs.append(measure_seed(prepared, Path(folder, f"seed-{seed}"), seed))
            print(f"seed {seed}: {time.monotonic() - started:.0f} s", runs[-1], flush=True)
        report.replace_section("demo", document(base, costs, runs))


if __name__ == "__main__":
    main()
