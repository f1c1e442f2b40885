"""docs/benchmarks.md: one section a program, replaced as a whole by each run."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def replace_section(name: str, text: str) -> None:
    """Put `text` between `<!-- name:begin -->` and `<!-- name:end -->`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    document = DOCUMENT.read_text()
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"{DOCUMENT}: no section {name!r}")
    DOCUMENT.write_text(pattern.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", document))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers are right-aligned."""
    body = [list(row) for row in rows]
    numeric = [
        all(isinstance(row[place], int | float) for row in body) for place in range(len(columns))
    ]
    rule = ["---:" if right else "---" for right in numeric]
    lines = [list(columns), rule, *([_cell(value) for value in row] for row in body)]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def made_with(command: str, *packages: str) -> str:
    """The line that says when, with what and by which command a section was made."""
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in packages)
    return (
        f"{date.today().isoformat()}, `{command}`, Python {platform.python_version()}, "
        f"{platform.machine()}; {versions}."
    )
