"""The compiled reader of plain rows under AddressSanitizer and UBSan: no damaged line misleads it.

A process of its own, whose every bytes object is an allocation that the sanitizer watches.
Longer than in the suite: `ROUNDS=1000000 python -m pytest tests/data/test_plain_memory.py`
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCE = ROOT / "factory" / "data" / "_plain.c"
PROGRAM = Path(__file__).with_name("damaged_lines.py")
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1")
ROUNDS = os.environ.get("ROUNDS", "20000")


def compile_sanitized(target: Path) -> str:
    """Compile with the sanitizers; return the library that has to be loaded first."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("there is no C compiler")
    include = sysconfig.get_path("include")
    command = [compiler, *SANITIZE, "-shared", "-fPIC", f"-I{include}", SOURCE, "-o", target]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip(f"{compiler} has no AddressSanitizer")
    name = [compiler, "-print-file-name=libasan.so"]
    return subprocess.run(name, capture_output=True, text=True, check=True).stdout.strip()


def test_damaged_lines_lead_nowhere(tmp_path: Path) -> None:
    target = tmp_path / "_plain.so"
    environment = {
        **os.environ,
        "LD_PRELOAD": compile_sanitized(target),
        "ASAN_OPTIONS": "detect_leaks=0",  # CPython keeps memory to its end
        "PYTHONMALLOC": "malloc",
    }
    command = [sys.executable, PROGRAM, target, ROUNDS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert 0 < int(done.stdout) < int(ROUNDS)
