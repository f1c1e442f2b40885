"""Reference pages are complete: modules, status fields, gate checks."""

from __future__ import annotations

import ast
import re

from factory import pipeline, schemas, status
from tests.markdown import ROOT

DOCS = ROOT / "docs"
FACTORY = ROOT / "factory"
GATES = [FACTORY / "gates.py", *sorted(FACTORY.glob("*/gate.py"))]


def first_cells(page: str) -> list[str]:
    """Every name in the first column of the tables of a page."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    cells = [line.split(" | ")[0] for line in lines if line.startswith("| `")]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_module_has_a_job_in_the_architecture() -> None:
    parts = [path for path in FACTORY.iterdir() if not path.name.startswith("_")]
    modules = {path.name for path in parts if path.suffix == ".py"}
    packages = {f"{path.name}/" for path in parts if any(path.glob("*.py"))}
    named = set(first_cells("architecture.md"))
    assert (modules | packages) - named == set()
    assert {name for name in named if name.endswith((".py", "/"))} - (modules | packages) == set()


def test_every_status_field_is_explained() -> None:
    assert set(first_cells("status.md")) == set(schemas.schema("training-status")["properties"])


def test_staleness_is_the_one_of_the_code() -> None:
    assert f"older than {status.STALE_SECONDS:g} seconds" in (DOCS / "status.md").read_text()


def test_every_named_check_is_in_the_code() -> None:
    written = literals()
    plain = [name for name in first_cells("gates.md") if "<" not in name]
    unknown = [name for name in plain if name not in written and not is_composed(name, written)]
    assert not unknown


def test_every_check_in_the_code_is_named() -> None:
    pattern = re.compile(rf"(?:{'|'.join(pipeline.NAMES)})\.\w+")
    checks = {text for text in literals() if pattern.fullmatch(text)}
    explained = {*first_cells("gates.md"), "export.merged"}  # as `<model>`
    assert checks - explained == set()


def literals() -> set[str]:
    """Every string in the modules that judge; `{...}.logits` of an f-string as `.logits`."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in GATES]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def is_composed(name: str, written: set[str]) -> bool:
    """`export.merged.logits` is written as `export.merged` and `.logits`."""
    stem, _, last = name.rpartition(".")
    return stem in written and f".{last}" in written
