"""Speed and memory of stage format: `python benchmarks/data/bench.py [NAME ...]`.

Costs are CPU seconds of the whole process tree, since a busy machine stretches wall time but not
these. A marginal cost is that of the rows by which the larger of two inputs is larger, so that
start-up does not count. Every measurement is the least of REPEATS, ours and the rival's in turn.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import orjson
import psutil

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
REPEATS = int(os.environ.get("REPEATS", "3"))
SCALE = float(os.environ.get("SCALE", "1"))
Command = Sequence[str]


def scaled(rows: int) -> int:
    return int(rows * SCALE)


def cpu_seconds(command: Command, folder: Path, cores: Iterable[int] | None = None) -> float:
    """CPU seconds of a command and its children, on `cores` if that is given."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("RIVALS_PATH", "")]),
        "BENCHMARK_CACHE": tempfile.mkdtemp(dir=folder),
        "HF_HUB_OFFLINE": "1",
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # nothing is compiled at every start
    on_cores = partial(os.sched_setaffinity, 0, cores) if cores is not None else None
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, preexec_fn=on_cores
    )
    if done.returncode:
        raise RuntimeError(f"{command}: exit {done.returncode}\n{done.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def workspace(folder: Path, rows: int, form: str, **dataset: object) -> Path:
    """A workspace with generated rows and the tiny model."""
    root = folder / f"{form}-{rows}"
    if not root.exists():
        (root / "data" / "raw").mkdir(parents=True)
        shutil.copytree(ROOT / "models" / "base", root / "models" / "base")
        output = str(root / "data" / "raw" / "rows.jsonl")
        subprocess.run([sys.executable, HERE / "rows.py", str(rows), form, output], check=True)
    config = {"dataset": {"num_proc": 1, "special_tokens": "keep", **dataset}}
    (root / "training-config.json").write_text(json.dumps(config))
    return root


def format_command(root: Path) -> Command:
    return [sys.executable, "-m", "factory", "-C", str(root), "run", "format", "--force"]


def rival_command(name: str, source: Path, target: Path) -> Command:
    return [sys.executable, str(HERE / "rivals.py"), name, str(source), str(target)]


def marginal(
    folder: Path, commands: dict[str, Callable[[int], Command]], sizes: Sequence[int]
) -> dict[str, float]:
    """Microseconds of CPU a row for each command, between the two sizes."""
    least: dict[tuple[str, int], float] = {}
    for _ in range(REPEATS):
        for size in sizes:
            for name, command in commands.items():
                cost = cpu_seconds(command(size), folder)
                least[name, size] = min(cost, least.get((name, size), cost))
    small, large = sizes
    return {n: (least[n, large] - least[n, small]) / (large - small) * 1e6 for n in commands}


def against(folder: Path, rival: str, form: str, sizes: tuple[int, int], bar: float) -> list[str]:
    """One row of the table: our cost a row against a rival's."""
    roots = {size: workspace(folder, size, form) for size in sizes}
    costs = marginal(
        folder,
        {
            "ours": lambda size: format_command(roots[size]),
            rival: lambda size: rival_command(
                rival, roots[size] / "data" / "raw" / "rows.jsonl", folder / "rival.out"
            ),
        },
        sizes,
    )
    ratio = costs[rival] / costs["ours"]
    return [
        f"`run format`, CPU a row, {sizes[0]:,} to {sizes[1]:,} rows ({form})",
        f"{costs['ours']:.1f} us",
        f"{rival}: {costs[rival]:.1f} us",
        f"{ratio:.2f}x",
        f"at least {bar}x",
    ]


def memory(folder: Path, sizes: tuple[int, int]) -> list[str]:
    """Peak resident memory of the whole process tree at two sizes."""
    peaks = [_peak(format_command(workspace(folder, size, "openai"))) for size in sizes]
    return [
        f"peak memory of `run format`, {sizes[0]:,} and {sizes[1]:,} rows",
        " and ".join(f"{peak / 1e6:.0f} MB" for peak in peaks),
        "flat",
        f"{peaks[1] / peaks[0]:.2f}x",
        "at most 1.10x, 400 MB",
    ]


def _peak(command: Command) -> int:
    process = psutil.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    peak = 0
    while process.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in tree))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.02)
    return peak


def near(folder: Path, rows: int) -> list[str]:
    """The whole stage dropping planted near duplicates, against datasketch doing only that."""
    root = workspace(folder, rows, "planted", near_duplicates="drop")
    source, target = root / "data" / "raw" / "rows.jsonl", folder / "datasketch.out"
    ours = cpu_seconds(format_command(root), folder)
    theirs = cpu_seconds(rival_command("datasketch", source, target), folder)
    found = _found(source, sorted((root / "data" / "splits").glob("*.jsonl")))
    found_by_rival = _found(source, [target])
    return [
        f"`run format` with near duplicates, {rows:,} rows, CPU in all",
        f"{ours:.1f} s, {found}",
        f"datasketch, same shingles: {theirs:.1f} s, {found_by_rival}",
        f"{theirs / ours:.1f}x",
        "at least 3x, recall 0.98, precision 0.95",
    ]


def _found(source: Path, kept: Sequence[Path]) -> str:
    """Recall and precision of what is missing from `kept`: copies, and nothing else, should be."""
    dropped = _ids([source]) - _ids(kept)
    copies = {name for name in _ids([source]) if name.startswith("copy-")}
    right = len(dropped & copies)
    return f"recall {right / len(copies):.3f}, precision {right / max(1, len(dropped)):.3f}"


def _ids(paths: Sequence[Path]) -> set[str]:
    return {orjson.loads(line)["id"] for path in paths for line in path.open("rb")}


def floor(folder: Path, sizes: tuple[int, int]) -> list[str]:
    """What hashing and splitting add to a round trip, with nothing checked."""
    names = ("orjson_round_trip", "orjson_hashed_twice")
    rows = {
        size: workspace(folder, size, "openai") / "data" / "raw" / "rows.jsonl" for size in sizes
    }
    costs = marginal(
        folder,
        {name: partial(_rival_of, rows, name, folder / "rival.out") for name in names},
        sizes,
    )
    plain, hashed = (costs[name] for name in names)
    return [
        "no factory: a round trip with two SHA-256 whose lines go through a second file",
        f"{hashed:.1f} us",
        f"orjson_round_trip: {plain:.1f} us",
        f"{plain / hashed:.2f}x",
        "-",
    ]


def _rival_of(rows: dict[int, Path], name: str, target: Path, size: int) -> Command:
    return rival_command(name, rows[size], target)


def workers(folder: Path, rows: int, *, held: bool) -> list[str]:
    """Wall time of one worker against two, in turn; nothing else runs, not even a look at them.

    Two have two cores. One may use both, as it does to hash its input, or is held to one.
    """
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        raise RuntimeError("two workers need two cores")
    walls: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEATS):
        for count, found in walls.items():
            root = workspace(folder, rows, "openai", num_proc=count)
            shutil.rmtree(root / "data" / "splits", ignore_errors=True)
            start = time.monotonic()
            cpu_seconds(format_command(root), folder, cores[:count] if held else cores)
            found.append(time.monotonic() - start)
    ratios = sorted(one / two for one, two in zip(*walls.values(), strict=True))
    return [
        f"two workers against one{' held to one core' if held else ''}, {rows:,} rows, wall time, "
        f"{REPEATS} runs each in turn",
        " and ".join(", ".join(f"{w:.1f} s" for w in sorted(found)) for found in walls.values()),
        "ideal: 2x",
        f"{median(ratios):.2f}x ({ratios[0]:.2f}x to {ratios[-1]:.2f}x)",
        "-" if held else "at least 1.6x",
    ]


def growth(folder: Path, rows: int) -> list[str]:
    """CPU of a whole run with near duplicates, at ten times the rows."""
    costs = [
        cpu_seconds(format_command(workspace(folder, n, "openai", near_duplicates="drop")), folder)
        for n in (rows, rows * 10)
    ]
    return [
        f"`run format` with near duplicates, {rows:,} and {rows * 10:,} rows",
        " and ".join(f"{cost:.0f} s" for cost in costs),
        "linear: 10x",
        f"{costs[1] / costs[0]:.1f}x",
        "at most 12x",
    ]


# Above the 5000 rows of the token sample, which are a constant cost, not one of each row.
BENCHMARKS: dict[str, Callable[[Path], list[str]]] = {
    "orjson": lambda f: against(
        f, "orjson_round_trip", "openai", (scaled(100_000), scaled(500_000)), 0.5
    ),
    "floor": lambda f: floor(f, (scaled(100_000), scaled(500_000))),
    "unsloth": lambda f: against(f, "unsloth", "sharegpt", (scaled(20_000), scaled(320_000)), 3),
    "llamafactory": lambda f: against(
        f, "llamafactory", "sharegpt", (scaled(20_000), scaled(320_000)), 5
    ),
    "memory": lambda f: memory(f, (10_000, scaled(1_000_000))),
    "near": lambda f: near(f, scaled(100_000)),
    "workers": lambda f: workers(f, scaled(1_000_000), held=False),
    "workers_one_core": lambda f: workers(f, scaled(1_000_000), held=True),
    "growth": lambda f: growth(f, scaled(100_000)),
}


def main(names: Sequence[str]) -> None:
    """Print the table, row by row."""
    print("| what | factory | rival or limit | ratio | bar |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="bench-format-") as folder:
        for name in names or BENCHMARKS:
            try:
                print("|", " | ".join(BENCHMARKS[name](Path(folder))), "|", flush=True)
            except RuntimeError as error:
                print(f"| {name} | not measured: {str(error).splitlines()[-1]} | | | |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
