"""The table of stages."""

import shutil
import subprocess
from pathlib import Path

import pytest

from factory import pipeline
from factory.errors import ConfigError
from tests.conftest import ROOT


def test_every_stage_is_found_by_name_and_a_typo_is_helped() -> None:
    assert [pipeline.find(name).name for name in pipeline.NAMES] == list(pipeline.NAMES)
    with pytest.raises(ConfigError, match="did you mean 'finetune'"):
        pipeline.find("finetun")


def test_git_ignores_the_generated_script(tmp_path: Path) -> None:
    """A run of the demo leaves the checkout clean."""
    shutil.copy(ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    names = [f"scripts/{name}" for name in (*pipeline.SCRIPT_FILES, "train.json")]
    command = ["git", "check-ignore", *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.split() == names
