"""Every document: its links, commands, settings, checks, fields and paths are real."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from factory import config, layers, schemas
from factory.cli import build_parser
from factory.training import script
from factory.workspace import Workspace
from tests import markdown
from tests.markdown import DOCUMENTS, ROOT

SECTIONS = tuple(name for name, value in config.Config() if isinstance(value, config.Section))
SETTING = re.compile(rf"^({'|'.join(SECTIONS)})\.(\w+|\*)$")
PLACEHOLDER = re.compile(r"<[\w.-]+>")
FIELD = re.compile(r"^([\w./-]+\.json)#([\w.]+)$")
# Files whose fields documents name, and the published schema of each. Fields of
# metrics/training-stats.json are looked up in a real one, by tests/agents.
SCHEMA_OF = {
    "metrics/dataset.json": "dataset",
    "metrics/baseline.json": "evaluation",
    "metrics/evaluation.json": "evaluation",
    ".factory/training-status.json": "training-status",
}
TOP_FOLDER = re.compile(r"^(\.factory|agents|data|docs|logs|metrics|models|scripts|tests)/")
# Made by set-up, by tools, or by a person.
FOREIGN = (".venv", "data/raw", "models/base")

documents = pytest.mark.parametrize("path", DOCUMENTS, ids=markdown.name)


@documents
def test_links_resolve(path: Path) -> None:
    local = [link for link in markdown.links(path) if not link.startswith(("https://", "#"))]
    missing = [link for link in local if not (path.parent / link.partition("#")[0]).exists()]
    assert not missing


@documents
def test_anchors_exist(path: Path) -> None:
    for link in markdown.links(path):
        target, _, anchor = link.partition("#")
        if anchor and not link.startswith("https://"):
            assert anchor in anchors(path.parent / target if target else path), link


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", markdown.prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@documents
def test_factory_commands_are_accepted(path: Path) -> None:
    for words in markdown.factory_commands(path):
        if words != ["--version"]:
            assert build_parser().parse_args(without_placeholders(words)).function


def without_placeholders(words: list[str]) -> list[str]:
    """A command template with example values."""
    verbs = {"config": "validate", "models": "list", "data": "stats"}
    example = {"STAGE": "format", "VERB": verbs.get(words[0], "VERB")}
    return [example.get(word, word) for word in words if not word.startswith("[")]


@documents
def test_overrides_are_valid_settings(path: Path, tmp_path: Path) -> None:
    (tmp_path / "training-config.json").write_text("{}")
    for words in markdown.factory_commands(path):
        pairs = itertools.pairwise(words)
        overrides = [value for option, value in pairs if option == "--set" and "KEY=" not in value]
        layers.load(tmp_path / "training-config.json", overrides)


@documents
def test_settings_exist(path: Path) -> None:
    unknown = [
        span
        for span in markdown.code_spans(path)
        if (found := SETTING.match(span)) and not is_setting(found[1], found[2])
    ]
    assert not unknown


def is_setting(section: str, key: str) -> bool:
    fields = getattr(config.Config(), section).__class__.model_fields
    return key == "*" or key in fields


@documents
def test_fields_are_in_the_schema(path: Path) -> None:
    for span in markdown.code_spans(path):
        found = FIELD.match(span)
        if found and found[1] != "metrics/training-stats.json":
            schema = schemas.schema(SCHEMA_OF[found[1]])
            assert resolves(schema, schema, found[2].split(".")), span


def resolves(root: dict[str, Any], schema: dict[str, Any], names: list[str]) -> bool:
    """Whether a value at `names` is foreseen; a map accepts any one name."""
    if "$ref" in schema:
        return resolves(root, root["$defs"][schema["$ref"].rpartition("/")[2]], names)
    if "anyOf" in schema:
        return any(resolves(root, option, names) for option in schema["anyOf"])
    if not names:
        return True
    properties, others = schema.get("properties", {}), schema.get("additionalProperties")
    if names[0] in properties:
        return resolves(root, properties[names[0]], names[1:])
    return isinstance(others, dict) and resolves(root, others, names[1:])


@documents
def test_paths_are_in_the_repository_or_made_by_a_stage(path: Path) -> None:
    unknown = [span for span in markdown.code_spans(path) if is_path(span) and not is_known(span)]
    assert not unknown


def is_path(span: str) -> bool:
    return bool(re.match(r"^[\w.]+/[\w./<>*-]*$", span)) and bool(TOP_FOLDER.match(span))


def is_known(span: str) -> bool:
    """In the repository, at or above a declared path, or in a declared folder."""
    plain = span.rstrip("/")
    if any(ROOT.glob(PLACEHOLDER.sub("*", plain))) or plain.startswith(FOREIGN):
        return True
    above = any(f"{place}/".startswith(f"{plain}/") for place in declared())
    return above or any(plain.startswith(f"{folder}/") for folder in declared_folders())


def declared() -> set[str]:
    """Files and folders that stages write, relative to the workspace."""
    workspace, settings = Workspace(ROOT), config.Config()
    paths = {workspace.relative(p) for p in vars(workspace).values() if isinstance(p, Path)}
    paths |= {f"scripts/{name}" for name in script.FILES}
    configured = {
        getattr(getattr(settings, section), field)
        for section, field in (
            ("dataset", "path"),
            ("dataset", "validation_path"),
            ("dataset", "test_path"),
            ("training", "output_dir"),
            ("save", "lora_path"),
            ("save", "merged_path"),
            ("save", "gguf_path"),
        )
    }
    return paths | configured


def declared_folders() -> set[str]:
    """Those whose content is named by stage, model or file."""
    workspace, save = Workspace(ROOT), config.Config().save
    folders = (workspace.gates, workspace.logs, workspace.predictions, workspace.releases)
    return {workspace.relative(folder) for folder in folders} | {
        save.lora_path,
        save.merged_path,
        save.gguf_path,
    }


@documents
def test_no_machine_path_and_no_registry_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"/(home|root|work|tmp|Users)/\w|pypi\.org|pythonhosted|npmjs", text)


@documents
def test_make_targets_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shell = "\n".join(b.text for b in markdown.blocks(path) if b.kind.startswith(("bash", "sh")))
    spans = "\n".join(markdown.code_spans(path))
    named = re.findall(r"^make ([a-z-]+)", f"{shell}\n{spans}", re.MULTILINE)
    assert set(named) <= targets


@documents
def test_json_examples_are_json(path: Path) -> None:
    for block in markdown.blocks(path):
        if block.kind.startswith("json"):
            json.loads(block.text)


@documents
def test_nothing_is_left_to_fill_in(path: Path) -> None:
    assert not re.search(r"^(?:[A-Z]{5,}|TODO.*|TBD.*)$", markdown.prose(path), re.M)
