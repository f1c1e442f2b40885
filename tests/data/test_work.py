"""Workers: nothing of them is left when the process that uses them is gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from factory.data import work
from factory.data.block import Origin
from factory.data.containers import jsonl

USER = """
import sys
from pathlib import Path
from factory.data import work
from factory.data.block import Origin
from factory.data.containers import jsonl

tasks = (
    work.Task(0, 0, Origin("rows", "openai"), piece)
    for _ in iter(int, 1)
    for piece in jsonl.pieces(Path(sys.argv[1]), 1 << 20)
)
if __name__ == "__main__":
    with work.pool(2) as pool:
        for done in work.format_pieces(tasks, Path(sys.argv[2]), pool):
            done.segment.path.unlink(missing_ok=True)
            print(flush=True)
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    turns = '[{"role":"user","content":"Why?"},{"role":"assistant","content":"So."}]'
    path.write_text(f'{{"messages":{turns}}}\n' * 100)
    return path


def test_workers_end_with_the_process_that_uses_them(tmp_path: Path, rows: Path) -> None:
    script = tmp_path / "user.py"
    script.write_text(USER)
    command = list(map(str, (sys.executable, script, rows, tmp_path)))
    with subprocess.Popen(command, stdout=subprocess.PIPE) as user:
        assert user.stdout is not None
        user.stdout.readline()
        family = psutil.Process(user.pid).children(recursive=True)
        user.kill()
    assert len(family) >= 3  # the server and the workers
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


def test_results_come_in_the_order_of_the_tasks(tmp_path: Path, rows: Path) -> None:
    pieces = list(jsonl.pieces(rows, 1 << 20)) * 20
    tasks = [work.Task(number, 0, Origin("rows", "openai"), p) for number, p in enumerate(pieces)]
    with work.pool(3) as pool:
        found = list(work.format_pieces(tasks, tmp_path, pool))
    assert [done.source for done in found] == list(range(20))
    assert {len(done.records) for done in found} == {100}
