"""What a person sees: lines, tables and progress bars, on a terminal or in a log.

Human output goes to stderr when `--json` claims stdout. rich is imported on first use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console as RichConsole

# Tables in a log or a pipe are as wide as they need to be.
LOG_WIDTH = 240


class Bar:
    """A handle on one progress bar."""

    def __init__(self, progress: Any, task: Any) -> None:
        self._progress = progress
        self._task = task

    def update(self, done: float, *, total: float | None = None, note: str = "") -> None:
        """Show `done` of `total` steps and a short note behind the bar."""
        changed: dict[str, Any] = {"completed": done, "note": note}
        if total is not None:
            changed["total"] = total
        self._progress.update(self._task, **changed)


class Console:
    """The factory's voice. `quiet` keeps warnings and errors only."""

    def __init__(self, *, json_mode: bool = False, quiet: bool = False) -> None:
        self.json_mode = json_mode
        self.quiet = quiet
        self._rich: RichConsole | None = None

    @property
    def rich(self) -> RichConsole:
        """The underlying rich console (colours only on a terminal, NO_COLOR honoured)."""
        if self._rich is None:
            from rich.console import Console as RichConsole

            self._rich = RichConsole(
                file=sys.stderr if self.json_mode else sys.stdout, highlight=False, soft_wrap=True
            )
            if not self._rich.is_terminal:
                self._rich.width = LOG_WIDTH
        return self._rich

    def line(self, text: str = "", *, style: str | None = None) -> None:
        """One line of plain text; markup in data is never interpreted."""
        if not self.quiet:
            self._print(text, style)

    def warn(self, text: str) -> None:
        """A line that is shown even when quiet."""
        self._print(f"warning: {text}", "yellow")

    def _print(self, text: str, style: str | None) -> None:
        # A plain line needs no rich, whose import alone would double the time of `status`.
        stream = sys.stderr if self.json_mode else sys.stdout
        if style is not None and stream.isatty():
            self.rich.print(text, style=style, markup=False)
        else:
            print(text, file=stream, flush=True)

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None
    ) -> None:
        """A table; every column after the first is right-aligned if it holds numbers."""
        if self.quiet:
            return
        from rich.box import SIMPLE_HEAD
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        body = [list(row) for row in rows]
        table = Table(
            title=title, box=SIMPLE_HEAD, title_justify="left", pad_edge=False, show_edge=False
        )
        for index, name in enumerate(columns):
            numeric = bool(body) and all(isinstance(row[index], int | float) for row in body)
            table.add_column(name, justify="right" if numeric else "left", overflow="fold")
        for row in body:
            table.add_row(*(Text(_cell(value)) for value in row))
        self.rich.print(Padding(table, (0, 0, 1, 2), expand=False))

    @contextmanager
    def bar(self, label: str, *, total: float | None = None) -> Iterator[Bar]:
        """A progress bar with ETA on a terminal; start and end only elsewhere."""
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self.rich,
            disable=self.quiet or not self.rich.is_terminal,
        )
        with progress:
            task = progress.add_task(label, total=total, note="")
            yield Bar(progress, task)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 1000 or 0 < abs(value) < 0.001 else f"{value:.3f}"
    return str(value)
