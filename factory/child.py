"""Child processes: training, generation and llama.cpp run in them, so that the parent stays light.

A child dies with its parent, gets the parent's SIGINT and SIGTERM once (a second one kills it),
and reports progress as JSON lines on its standard output; everything else it prints is logged.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import parent_process
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from factory.errors import Interrupted

PR_SET_PDEATHSIG = 1
EVENT_PREFIX = "@factory "
# Looked up before any fork: importing between fork and exec is not safe.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None

# No statistics sent, no threads or hashing that change from run to run, bounded caches.
LIBRARY_ENVIRONMENT = {
    "UNSLOTH_DISABLE_STATISTICS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "warning",
    "PYTHONUNBUFFERED": "1",
    "PYTHONHASHSEED": "0",
    # oneDNN keeps a compiled kernel for each of the last 1024 shapes; batches of uneven length
    # have many, and that costs a small model more memory than its training.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
}


def thread_environment(threads: int) -> dict[str, str]:
    """Environment that pins every numeric library to `threads` threads."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return {**{name: str(threads) for name in names}, "OMP_WAIT_POLICY": "passive"}


def emit(event: Mapping[str, Any]) -> None:
    """In a child: report one event to the parent."""
    print(EVENT_PREFIX + json.dumps(event, allow_nan=False), flush=True)


def run(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str],
    cwd: Path | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """Run `command` to its end and return its exit code (negative: killed by that signal).

    Standard output and error are appended to `log`, except event lines, which go to `on_event`.
    Raises Interrupted when this process was told to stop, after the child has ended.
    """
    process = start(command, environment=environment, cwd=cwd, stdin=subprocess.DEVNULL)
    return follow(process, log=log, on_event=on_event)


def start(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    cwd: Path | None = None,
    stdin: int = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start `command` and return at once; who starts it follows it to its end, or kills it."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, **LIBRARY_ENVIRONMENT, **environment},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def follow(
    process: subprocess.Popen[bytes],
    *,
    log: Path,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """What `run` does once the child is started."""
    with process:
        follow_until(None, process, log=log, on_event=on_event)
        return process.wait()


def follow_until(
    field: str | None,
    process: subprocess.Popen[bytes],
    *,
    log: Path,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> bool:
    """Follow a child to the first event that has `field`; False if its output ends before.

    The child goes on by itself then, as far as a full pipe lets it. Whoever calls this follows it
    to its end, or kills it. Raises Interrupted when this process was told to stop meanwhile.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab", buffering=0) as log_file, _forwarded_signals(process) as received:
        reached = _reach(field, process, log_file, on_event)
        if not reached:
            process.wait()
    if received:
        raise Interrupted(
            f"stopped by {signal.Signals(received[0]).name}",
            hint="run the same command again to go on from the last checkpoint",
        )
    return reached


def _reach(
    field: str | None,
    process: subprocess.Popen[bytes],
    log_file: BinaryIO,
    on_event: Callable[[dict[str, Any]], None] | None,
) -> bool:
    assert process.stdout is not None
    for line in process.stdout:
        if not line.startswith(EVENT_PREFIX.encode()):
            _log(log_file, line)
            continue
        event = json.loads(line[len(EVENT_PREFIX) :])
        if on_event is not None:
            on_event(event)
        if field in event:
            return True
    return False


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs `module` of this package in a fresh interpreter."""
    return [sys.executable, "-m", module, *arguments]


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = log.read_bytes()[-16_384:].decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent is gone."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def start_worker() -> None:
    """In a worker of multiprocessing: it stops when the process that uses it says so, or is gone.

    That may not be the process it was forked from, so `die_with_parent` is not enough.
    """
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _log(log_file: BinaryIO, line: bytes) -> None:
    """Append to the log; a full disk stops the log, not the child."""
    with suppress(OSError):
        log_file.write(line)


@contextmanager
def _forwarded_signals(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass the first SIGINT/SIGTERM on to the child and kill it at the second."""
    received: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        group_signal = signal.SIGKILL if len(received) > 1 else signal.Signals(number)
        if process.poll() is None:
            os.killpg(process.pid, group_signal)

    previous = {
        number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
