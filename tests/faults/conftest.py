"""System calls that fail or kill: strace's fault injection."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

CALLS = {
    "rename": "rename,renameat,renameat2",
    "fsync": "fsync,fdatasync",
    "unlink": "unlink,unlinkat,rmdir",
    "mkdir": "mkdir,mkdirat",
    "truncate": "ftruncate",  # how safetensors takes its room
    "write": "write,writev,pwrite64",
}


@pytest.fixture(scope="session", autouse=True)
def strace() -> None:
    """Skips, saying why, where system calls cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    probe = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip(f"strace may not trace here: {probe.stderr.decode()[-200:]}")


def traced(call: str, log: Path, *paths: Path) -> list[str]:
    """The start of a command line that writes every `call` (on `paths`) to `log`."""
    only = [word for path in paths for word in ("-P", str(path))]
    return ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CALLS[call]}", *only]


def with_fault(call: str, fault: str, when: str, *paths: Path) -> list[str]:
    """The same, with `fault` at a thread's `when`th such call (`3+`: and at all after it)."""
    inject = f"inject={CALLS[call]}:{fault}:when={when}"
    return [*traced(call, Path("/dev/null"), *paths), "-e", inject]


def calls_in(log: Path, call: str) -> int:
    """How many such calls the busiest thread in `log` made."""
    names = CALLS[call].replace(",", "|")
    lines = [line for line in log.read_text().splitlines() if re.search(rf"\b({names})\(", line)]
    threads = Counter(line.split()[0] for line in lines)
    return max(threads.values(), default=0)
