"""HTML pages of reports: one file each, no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{padding:.2rem .8rem;text-align:right}
th:first-child,td:first-child,.text th,.text td{text-align:left;vertical-align:top}
th{border-bottom:1px solid #999}
pre{white-space:pre-wrap;background:#f6f6f6;padding:.8rem;color:#777}
mark{background:#d7f5d7;color:#0a5c0a}.bad{color:#b00020;font-weight:bold}
svg text{font:11px system-ui,sans-serif;fill:#555}
"""


def document(title: str, parts: Iterable[str]) -> str:
    """The page of these parts, which are HTML already."""
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"style-src 'unsafe-inline'\"><style>{STYLE}</style>\n{body}\n</html>\n"
    )


def section(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, text: bool = False
) -> list[str]:
    """A headed table, nothing if it has no rows; `text`: its columns are words, not numbers."""
    found = list(rows)
    return [f"<h2>{escape(title)}</h2>", table(columns, found, text=text)] if found else []


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, text: bool = False) -> str:
    """A table; None is a dash, whole numbers get separators."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    kind = ' class="text"' if text else ""
    return f"<table{kind}><tr>{head}</tr>{body}</table>"


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    whole = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if whole else str(value)
