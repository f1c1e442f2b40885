"""`python -m tests.faults.toy_run FOLDER`: the runner on two toy stages; real files and gates."""

from __future__ import annotations

import sys
from pathlib import Path

from factory import config, pipeline, runner
from factory.console import Console
from factory.context import Context
from factory.workspace import Workspace
from tests.toy_stages import FIRST, SECOND

NAMES = ["format", "baseline"]


def toy_context(folder: Path) -> Context:
    """The workspace `folder` as one of toy stages; changes the table of stages."""
    pipeline.STAGES = (FIRST, SECOND)
    runner._revisions = lambda context: {}
    values = config.validate({"dataset": {"min_samples": 1}})
    return Context(Workspace(folder), values, Console(quiet=True))


if __name__ == "__main__":
    runner.run(toy_context(Path(sys.argv[1])), NAMES, waivers=[])
