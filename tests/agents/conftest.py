"""Two walks through the playbooks: every block typed in order, as an agent would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from factory import pipeline
from tests import markdown
from tests.conftest import make_workspace
from tests.markdown import ROOT, Block

# Small enough for a minute of CPU time; free of luck: the loss falls within a few steps.
REDUCED = {
    "dataset": {"pii": "report"},
    "training": {"max_steps": 40, "save_steps": 20, "warmup_steps": 4},
    "evaluation": {
        "metric": "loss",
        "max_samples": 24,
        "max_new_tokens": 64,
        "targets": {"tool_accuracy": 0.0},
    },
    "save": {"max_gguf_row_difference": 3},
}
ORDER = [ROOT / "agents" / f"{name}.md" for name in (*pipeline.NAMES, "orchestrator")]
Results = dict[str, "subprocess.CompletedProcess[str]"]


def blocks(*kinds: str) -> list[Block]:
    """The blocks of all playbooks that are of one of `kinds`, in the order of the workflow."""
    return [block for path in ORDER for block in markdown.blocks(path) if block.kind in kinds]


def type_in(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one block in bash, with this interpreter as `python`."""
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block.text],
        cwd=folder,
        env={**os.environ, "PATH": search, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.fixture(scope="session")
def quick_walk(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The blocks that load no model."""
    folder = make_workspace(tmp_path_factory.mktemp("quick") / "ws", REDUCED)
    return {str(block): type_in(block, folder) for block in blocks("bash")}


@pytest.fixture(scope="session")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """All blocks, and the workspace they leave behind."""
    folder = make_workspace(tmp_path_factory.mktemp("walk") / "ws", REDUCED)
    return folder, {str(block): type_in(block, folder) for block in blocks("bash", "bash slow")}
