"""`python toy_training.py FOLDER`: the script's own writers around a training of no content."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "factory" / "training" / "templates"))

import train
import training_state as state

STEPS, RUN = 4, {"learning_rate": 1}


def weights_at(step: int) -> str:
    """What was learned by then."""
    return "".join(f"{number}\n" for number in range(1, step + 1))


def main() -> None:
    files = {"status": "status.json", "history": "history.jsonl"}
    status = state.Status(files, run_id="toy", attempt=1)
    found = state.newest_valid(Path("trainer"), RUN, status.warn)
    step = json.loads((found / state.MANIFEST).read_text())["step"] if found else 0
    learned = (found / "weights").read_text() if found else ""
    while step < STEPS:
        step += 1
        learned += f"{step}\n"
        folder = Path("trainer", f"checkpoint-{step}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "weights").write_text(learned)
        (folder / "optimizer").write_text(learned * 2)
        state.seal(folder, RUN, step=step, seconds=0.0, finished=step == STEPS)
        state.keep_newest(2, folder, None)
        status.record(step=step, epoch=0.5, loss=1 / step)
    with train.replacing(Path("lora")) as folder:
        (folder / "adapter").write_text(learned)
    state.write_json(Path("stats.json"), {"learned": learned})
    status.end("completed")


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    sys.stdout = io.StringIO()  # it is a pipe in truth, which no full disk touches
    main()
