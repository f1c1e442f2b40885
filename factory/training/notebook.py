"""The script as a notebook: the same files, written by cells, then run."""

from __future__ import annotations

import shlex
from typing import Any

from factory import storage
from factory.training import bundle, script

INTRODUCTION = """# Fine-tuning, as resolved by the factory

The cells write the very files that `python -m factory script` writes, and run them. Put the
splits (and the base model, if it is a folder) beside this notebook first: the paths are in
`scripts/train.json`, relative to this folder.
"""


def build(settings: dict[str, Any]) -> dict[str, Any]:
    """The notebook (nbformat 4.5) for resolved `settings`."""
    cells = [_markdown(INTRODUCTION), _code("%pip install -q " + _quoted_requirements(settings))]
    cells.append(_code("import pathlib\npathlib.Path('scripts').mkdir(exist_ok=True)"))
    for name in script.FILES:
        text = (script.TEMPLATES / name).read_text(encoding="utf-8")
        cells.append(_code(f"%%writefile scripts/{name}\n{text}"))
    cells.append(_code(f"%%writefile scripts/train.json\n{storage.dump_json(settings)}"))
    cells.append(_code("!python scripts/train.py --check"))
    cells.append(_code("!" + shlex.join(script.command(settings))))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    return {
        "cells": cells,
        "metadata": {"kernelspec": {"display_name": "Python 3", "name": "python3"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _quoted_requirements(settings: dict[str, Any]) -> str:
    return " ".join(f'"{pin}"' for pin in bundle.requirements(settings).split())


def _markdown(text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": text}


def _code(text: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": text,
    }
