"""docs/faults.md names tests that exist."""

from __future__ import annotations

import ast
import re

from tests.markdown import ROOT

TESTS = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "faults.md").read_text())


def test_every_named_test_exists() -> None:
    assert len(TESTS) > 40
    for file, name in TESTS:
        tree = ast.parse((ROOT / file).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file}::{name}"


def test_every_fault_names_a_test() -> None:
    text = (ROOT / "docs" / "faults.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    assert not [row for row in rows if "`tests/" not in row]
