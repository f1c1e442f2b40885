"""Data sets on the hub: against a server on this machine, and without any."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factory import config
from factory.errors import ConfigError
from tests.conftest import ROOT, make_workspace
from tests.data.hub_server import COMMIT, DatasetHub, serving

CARD = b"""---
configs:
- config_name: short
  data_files:
  - split: train
    path: short/train.jsonl
  - split: test
    path: short/test.jsonl
- config_name: long
  data_files: long.jsonl
- config_name: foreign
  data_files: ../secret.jsonl
---
"""
FILES = {
    "README.md": CARD,
    "short/train.jsonl": b'{"question": "a", "answer": "b"}\n',
    "short/test.jsonl": b'{"question": "c", "answer": "d"}\n',
    "long.jsonl": b'{"question": "e", "answer": "f"}\n',
    "picture.bin": b"\0",
    "notes.xml": b"<a/>",
}
# In a process of its own: the hub's library reads its settings when it is imported.
ASK = """
import json, sys
from pathlib import Path
from factory.config import source_of, Source
from factory.data import hub
from factory.errors import FactoryError
def answer(asked):
    source = source_of(asked) if isinstance(asked, str) else Source(**asked)
    try:
        found = hub.files(source, Path(sys.argv[2]), "dataset.sources[0]")
    except FactoryError as error:
        return str(error)
    return [[file.name, file.split, file.path.read_text()] for file in found]
print(json.dumps([answer(asked) for asked in json.loads(sys.argv[1])]))
"""


class Machine:
    """A machine with its own cache and workspace, and the hub's address."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "HF_ENDPOINT": url,
            "HF_HOME": str(folder / "hf"),
            "PYTHONPATH": str(ROOT),
        }

    def ask(self, *sources: Any, workspace: str = "first", **more: str) -> list[Any]:
        """For each source its files (name, split, text), or the error."""
        done = subprocess.run(
            [sys.executable, "-c", ASK, json.dumps(sources), str(self.folder / workspace)],
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        found: list[Any] = json.loads(done.stdout)
        return found


@pytest.fixture
def hub() -> Iterator[DatasetHub]:
    with serving(FILES) as found:
        yield found


@pytest.fixture
def machine(tmp_path: Path, hub: DatasetHub) -> Machine:
    return Machine(tmp_path, hub.url)


PREFIX = f"hf:someone/talks@{COMMIT}"
SHORT = {"hub": "someone/talks", "subset": "short"}
BOTH = [
    [f"{PREFIX}/short/train.jsonl", "train", '{"question": "a", "answer": "b"}\n'],
    [f"{PREFIX}/short/test.jsonl", "test", '{"question": "c", "answer": "d"}\n'],
]


def test_files_are_settled_once_and_a_filled_cache_is_enough(
    machine: Machine, hub: DatasetHub
) -> None:
    assert machine.ask(SHORT) == [BOTH]
    hub.asked.clear()
    assert machine.ask(SHORT) == [BOTH]
    assert machine.ask(SHORT, workspace="second", HF_HUB_OFFLINE="1") == [BOTH]
    assert not hub.asked


def test_a_split_a_revision_and_files_by_name(machine: Machine, hub: DatasetHub) -> None:
    named, part = machine.ask(
        {"hub": "someone/talks", "data_files": "long.jsonl"},
        {**SHORT, "split": "test", "revision": "v1"},
    )
    assert [name for name, _, _ in named] == [f"{PREFIX}/long.jsonl"]
    assert part == BOTH[1:]
    assert "/api/datasets/someone/talks/revision/v1" in hub.asked
    assert not any("picture" in path for path in hub.asked)


def test_what_is_not_there_is_said(machine: Machine) -> None:
    several, subset, split, name, kind = machine.ask(
        "hf:someone/talks",
        {**SHORT, "subset": "shrt"},
        {**SHORT, "split": "dev"},
        "hf:someone/nothing",
        {"hub": "someone/talks", "data_files": "notes.xml"},
    )
    assert "available configs: ['short', 'long', 'foreign']" in several
    assert subset.startswith("dataset.sources[0].subset: hf:someone/talks:")
    assert "no split 'dev'\n  -> one of: train, test" in split
    assert "hf:someone/nothing cannot be had" in name
    assert "no row can be read from notes.xml" in kind


def test_without_network_and_cache_the_way_out_is_named(machine: Machine) -> None:
    (found,) = machine.ask({**SHORT, "revision": "v1"}, HF_HUB_OFFLINE="1")
    assert "hf download someone/talks --repo-type dataset --revision v1" in found
    assert "HF_HOME" in found


@pytest.mark.parametrize("name", ["hf:talks", "hf:", "hf:someone/talks/more"])
def test_a_name_that_no_data_set_has_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="hf:OWNER/NAME"):
        config.validate({"dataset": {"sources": [name]}})


def test_a_card_reaches_no_file_outside_its_data_set(machine: Machine) -> None:
    machine.ask(SHORT)
    (snapshots,) = machine.folder.glob("hf/hub/datasets--someone--talks/snapshots")
    (snapshots / "secret.jsonl").write_text("{}")
    (found,) = machine.ask({**SHORT, "subset": "foreign"})
    assert "names a file that is not its own" in found


def test_the_stage_records_the_commit_and_runs_again_without_network(
    machine: Machine, hub: DatasetHub
) -> None:
    source = {"hub": "someone/talks", "subset": "short"}
    folder = make_workspace(
        machine.folder / "ws",
        {"dataset": {"sources": [source], "min_samples": 1, "split_ratios": [0.8, 0, 0.2]}},
        demo=False,
    )

    def run() -> str:
        command = [sys.executable, "-m", "factory", "run", "format", "--waive", "format.splits"]
        done = subprocess.run(
            [*command, "--reason", "a test"],
            cwd=folder,
            env=machine.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run()
    gate = json.loads((folder / ".factory" / "gates" / "format.json").read_text())
    assert gate["decisions"]["commit of hf:someone/talks"]["value"] == COMMIT
    assert {name for name in gate["inputs"] if name.startswith("hf:")} == {
        name for name, _, _ in BOTH
    }
    hub.asked.clear()
    assert "up to date" in run()
    assert not hub.asked
