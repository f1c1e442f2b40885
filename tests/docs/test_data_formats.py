"""docs/data-formats.md: every example is read as the page says, by the stage itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from factory import layers
from factory.data import formats
from factory.data.containers import SUFFIXES
from factory.data.rejection import REASONS
from tests import markdown
from tests.conftest import factory, make_workspace
from tests.markdown import ROOT

PAGE = ROOT / "docs" / "data-formats.md"
PLAIN = [
    {"role": "user", "content": "Translate to French:\nGood morning."},
    {"role": "assistant", "content": "Bonjour."},
]


def examples() -> list[tuple[str, Any]]:
    """(format name, row) of every example: the heading above it names its format."""
    text = PAGE.read_text(encoding="utf-8")
    headings = [(found.start(), found[1]) for found in re.finditer(r"^### (\w+)$", text, re.M)]
    found = []
    for block in markdown.blocks(PAGE):
        if block.kind == "json":
            place = text.index(block.text)
            name = [heading for start, heading in headings if start < place][-1]
            found.append((name, json.loads(block.text)))
    return found


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which each example was a source file of its own; the first of a kind leads."""
    folder = make_workspace(tmp_path_factory.mktemp("formats") / "ws", {}, demo=False)
    for number, (name, row) in enumerate(examples()):
        file = folder / "data" / "raw" / f"{number}-{name}.jsonl"
        file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    factory("run", "format", cwd=folder)  # the gate closes: two rows are too few
    return folder


@pytest.fixture(scope="module")
def report(workspace: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((workspace / "metrics" / "dataset.json").read_text())
    return values


def test_every_format_has_an_example() -> None:
    assert {name for name, _ in examples()} == set(formats.FORMATS)


def test_every_example_is_detected_as_its_heading_says(report: dict[str, Any]) -> None:
    detected = {source: found["format"] for source, found in report["sources"].items()}
    assert detected == {
        f"data/raw/{number}-{name}.jsonl": name for number, (name, _) in enumerate(examples())
    }


def test_no_example_is_rejected(workspace: Path) -> None:
    lines = (workspace / "data" / "rejects.jsonl").read_text().splitlines()
    assert {json.loads(line)["reason"] for line in lines} == {"duplicate"}


def test_examples_of_one_conversation_become_the_same_row(report: dict[str, Any]) -> None:
    """Equal canonical rows are duplicates: one without tools is left, and two with them, because
    Anthropic's calls have an id.
    """
    assert (report["kept"], report["duplicates"]) == (3, len(examples()) - 3)


def test_the_canonical_row_is_the_one_shown(workspace: Path) -> None:
    shown = [json.loads(b.text) for b in markdown.blocks(PAGE) if b.kind == "json canonical"]
    shown[0]["source"] = "data/raw/0-openai.jsonl"
    shown[0]["id"] = "data/raw/0-openai.jsonl:1"
    assert [row for row in rows(workspace) if row["source"] == shown[0]["source"]] == shown


def test_plain_examples_are_one_question_and_its_answer(workspace: Path) -> None:
    assert [row["conversations"] for row in rows(workspace) if "tools" not in row] == [PLAIN]


def rows(workspace: Path) -> list[dict[str, Any]]:
    """All canonical rows, of all splits."""
    return [
        json.loads(line)
        for split in ("train", "val", "test")
        for line in (workspace / "data" / "splits" / f"{split}.jsonl").read_text().splitlines()
    ]


def test_every_reason_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert set(REASONS) <= set(rows)


def test_every_suffix_is_named() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert not [suffix for suffix in SUFFIXES if f"`{suffix}`" not in text]


def test_the_configurations_of_the_page_are_accepted(tmp_path: Path) -> None:
    """With the presets of the page."""
    blocks = markdown.blocks(PAGE)
    (presets,) = [block.text for block in blocks if block.kind == "toml"]
    (tmp_path / "presets.toml").write_text(presets)
    shown = [json.loads(block.text) for block in blocks if block.kind == "json config"]
    assert shown
    for values in shown:
        layers.resolve(layers.Layer("page", str(PAGE), values), root=tmp_path)
