"""Child processes: events, log, signals, death."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from factory import child

ROOT = Path(__file__).parents[1]
PARENT = """
import sys
from pathlib import Path
from factory import child
from factory.errors import Interrupted
try:
    code = child.run([sys.executable, "-c", Path("child.py").read_text()], log=Path("log"),
                     environment={})
except Interrupted as error:
    sys.exit(error.exit_code)
sys.exit(code)
"""
SLEEPER = """
import os, pathlib, signal, sys, time
pathlib.Path("pid").write_text(str(os.getpid()))
time.sleep(60)
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + SLEEPER


def run(code: str, tmp_path: Path, **options: Any) -> int:
    return child.run([sys.executable, "-c", code], log=tmp_path / "log", environment={}, **options)


def start_parent(folder: Path, code: str) -> tuple[subprocess.Popen[bytes], int]:
    """A parent process running `code` as its child; returns it with the child's pid."""
    (folder / "child.py").write_text(code)
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # nohup ignores it
    )
    deadline = time.monotonic() + 30
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline, "the child never started"
        time.sleep(0.02)
    return parent, int((folder / "pid").read_text())


def ends(pid: int, seconds: float = 10) -> bool:
    """Whether process `pid` is gone (or a zombie) within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_events_reach_the_parent_and_the_rest_is_logged(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    code = "from factory import child\nprint('hello')\nchild.emit({'event': 'x', 'done': 1})"
    assert run(code, tmp_path, on_event=events.append, cwd=ROOT) == 0
    assert events == [{"event": "x", "done": 1}]
    assert (tmp_path / "log").read_text() == "hello\n"


def test_the_exit_code_and_the_error_text_are_kept(tmp_path: Path) -> None:
    assert run("import sys; sys.exit('what went wrong')", tmp_path) == 1
    assert child.tail(tmp_path / "log") == "what went wrong"


def test_no_input_is_inherited(tmp_path: Path) -> None:
    assert run("import sys; assert sys.stdin.read() == ''", tmp_path) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_child_and_exits_130(tmp_path: Path, number: signal.Signals) -> None:
    parent, pid = start_parent(tmp_path, SLEEPER)
    parent.send_signal(number)
    assert parent.wait(timeout=20) == 130
    assert ends(pid)


def test_the_second_signal_kills_a_child_that_ignores_the_first(tmp_path: Path) -> None:
    parent, pid = start_parent(tmp_path, STUBBORN)
    parent.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert parent.poll() is None
    parent.send_signal(signal.SIGINT)
    assert parent.wait(timeout=20) == 130
    assert ends(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends orphans on Linux only")
def test_the_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent, pid = start_parent(tmp_path, STUBBORN)
    parent.kill()
    parent.wait()
    assert ends(pid)
