"""The training.toml of the Oracle seed: its tables are a presets.toml as they are."""

from __future__ import annotations

import re
from pathlib import Path

from factory.presets import IGNORED_TABLES, TABLES

PRESETS_FILE = frozenset(TABLES)
_HEADER = re.compile(r"^\s*\[+\s*\"?([A-Za-z0-9_-]+)")


def keep_known_tables(path: Path) -> tuple[str, dict[str, str]]:
    """The text without the tables that presets.toml does not have; those, with the reason."""
    kept: list[str] = []
    dropped: dict[str, str] = {}
    keeping = True
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        if header := _HEADER.match(line):
            table = header[1]
            keeping = table in TABLES or table in IGNORED_TABLES
            if not keeping:
                dropped[table] = "outputs have fixed places; names are project.name and save.*"
        if keeping:
            kept.append(line)
    return "\n".join(kept) + "\n", dropped
