"""Text of which some is trained, shown so that one sees which: in colour, or in a marked column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from factory.console import Console

TRAINED, CONTEXT = "T| ", " | "


def show(console: Console, parts: Iterable[tuple[str, bool]], legend: str = "") -> None:
    """Print (text, trained?) parts; where there are no colours, a column says what is trained."""
    if console.rich.color_system is None:
        for line in plain_lines(parts):
            console.line(line)
        console.line(f"{legend}{TRAINED.strip()} is trained; a line ends where that changes")
        return
    from rich.text import Text

    text = Text()
    for part, trained in parts:
        text.append(part, style="bold green" if trained else "dim")
    console.rich.print(text)
    console.line(f"{legend}bold green is trained")


def plain_lines(parts: Iterable[tuple[str, bool]]) -> Iterator[str]:
    """The lines of the parts behind a column that says whether they are trained."""
    for text, trained in _merged(parts):
        mark = TRAINED if trained else CONTEXT
        for line in text.removesuffix("\n").split("\n"):
            yield mark + line


def _merged(parts: Iterable[tuple[str, bool]]) -> Iterator[tuple[str, bool]]:
    """Neighbours that agree as one; empty parts left out."""
    whole, before = "", False
    for text, trained in parts:
        if whole and text and trained != before:
            yield whole, before
            whole = ""
        if text:
            whole, before = whole + text, trained
    if whole:
        yield whole, before
