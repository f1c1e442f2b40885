"""README.md: the two commands, the tables and the quick start are true."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from factory import cli, errors, pipeline
from tests import markdown
from tests.conftest import factory
from tests.markdown import ROOT

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_it_names_the_two_commands() -> None:
    shell = [block.text for block in markdown.blocks(README) if block.kind == "sh"]
    assert {"make demo\n", "make test\n"} <= set(shell)


def test_every_command_is_listed() -> None:
    listed = set(re.findall(r"^\| `python -m factory (\w+)", TEXT, re.M))
    assert listed == commands()


def commands() -> set[str]:
    parser = cli.build_parser()
    actions = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return {name for action in actions for name in action.choices}


def test_exit_codes_are_those_of_the_error_tree() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.M)}
    assert listed == {0} | {error.exit_code for error in tree(errors.FactoryError)}


def tree(root: type[errors.FactoryError]) -> Iterator[type[errors.FactoryError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_every_stage_is_listed_in_order() -> None:
    listed = re.findall(rf"^\| ({'|'.join(pipeline.NAMES)}) \|", TEXT, re.M)
    assert listed == list(pipeline.NAMES)


def test_extras_exist() -> None:
    extras = re.findall(r"'\.\[(\w+)\]'", TEXT)
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    assert extras and all(re.search(rf"^{extra} = ", declared, re.M) for extra in extras)


def test_the_quick_start_runs_as_written(tmp_path: Path) -> None:
    shutil.copy(ROOT / "data" / "raw" / "mesen2.jsonl", tmp_path / "examples.jsonl")
    typed = [block.text for block in markdown.blocks(README) if block.kind == "bash"]
    for text in typed:
        search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=tmp_path,
            env={**os.environ, "PATH": search, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["next"], ["presets"], ["schema"], ["config", "validate"]],
    ids=" ".join,
)
def test_a_listed_command_answers(arguments: list[str], tmp_path: Path) -> None:
    assert factory("init", "ws", cwd=tmp_path).returncode == 0
    done = factory(*arguments, cwd=tmp_path / "ws")
    assert done.returncode == 0, done.stderr
