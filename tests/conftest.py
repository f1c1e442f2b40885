"""Shared fixtures: the command line as a process, and one real run of the demo.

Not covered by this suite: CUDA devices (tests/gpu, skipped without one), models and data sets of
the Hugging Face hub (no network is used), Ollama itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
REAL_DATA = Path(os.environ.get("FACTORY_REAL_DATA", ROOT.parent / "shared" / "data"))
Run = Callable[..., "subprocess.CompletedProcess[str]"]


# Set while the demo runs; no file it leaves may hold one.
SECRETS = {
    "HF_TOKEN": "hf_TheDemoMustNotWriteThis0123456789",
    "WANDB_API_KEY": "wandbTheDemoMustNotWriteThis0123456789",
    "AWS_SECRET_ACCESS_KEY": "awsTheDemoMustNotWriteThis0123456789",
}


def factory(
    *arguments: str, cwd: Path, timeout: float = 900, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `python -m factory ARGUMENTS` in `cwd`."""
    return subprocess.run(
        [sys.executable, "-m", "factory", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def ran(*arguments: str, cwd: Path, **environment: str) -> dict[str, Any]:
    """Run a command that has to succeed, with --json; return what it printed."""
    done = factory(*arguments, "--json", cwd=cwd, **environment)
    assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stderr[-4000:]}"
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def make_workspace(folder: Path, changes: dict[str, Any], *, demo: bool = True) -> Path:
    """A workspace with the demo's data; `changes` are sections merged into its configuration."""
    done = factory("init", str(folder), *(["--demo"] if demo else []), cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    path = folder / "training-config.json"
    values = json.loads(path.read_text())
    for section, fields in changes.items():
        values.setdefault(section, {}).update(fields)
    path.write_text(json.dumps(values))
    return folder


@pytest.fixture(scope="session")
def finished_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, run once through all stages with its own settings. Copy it; do not change it.

    Workers of one test run share it: the first makes it, the others wait for that.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "finished-demo" / "ws"
    with FileLock(shared / "finished-demo.lock"):
        if not (folder / ".factory" / "gates" / "export.json").exists():
            folder.parent.mkdir(exist_ok=True)
            make_workspace(folder, {})
            ran("run", "all", cwd=folder, **SECRETS)
    return folder


@pytest.fixture
def demo(finished_demo: Path, tmp_path: Path) -> Path:
    """A copy of the finished demo to do as one likes with."""
    folder = tmp_path / "demo"
    shutil.copytree(finished_demo, folder, symlinks=True)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real public data; skips, saying so, where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data at {REAL_DATA}: set FACTORY_REAL_DATA")
    return REAL_DATA
