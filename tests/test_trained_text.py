"""What is trained is seen in a pipe as well as on a terminal."""

from __future__ import annotations

import io
import re

import pytest

from factory import trained_text
from factory.console import Console

PARTS = [
    ("<s>user\nHi\n<s>", False),
    ("assistant\n", False),
    ("", True),
    ("Hel", True),
    ("lo", True),
]
MORE = [*PARTS, ("\n", False), ("a [b] c", True)]


def test_a_column_says_what_is_trained() -> None:
    assert list(trained_text.plain_lines(MORE)) == [
        " | <s>user",
        " | Hi",
        " | <s>assistant",
        "T| Hello",
        " | ",
        "T| a [b] c",
    ]


def test_an_empty_line_that_is_trained_is_seen() -> None:
    assert list(trained_text.plain_lines([("a\n\nb", True)])) == ["T| a", "T| ", "T| b"]


def test_a_pipe_gets_the_column(capsys: pytest.CaptureFixture[str]) -> None:
    trained_text.show(Console(), MORE, "row 1: ")
    shown = capsys.readouterr().out
    assert "T| Hello\n" in shown and "row 1: T| is trained" in shown


def test_a_terminal_gets_colours() -> None:
    from rich.console import Console as RichConsole

    console, out = Console(), io.StringIO()
    console._rich = RichConsole(file=out, force_terminal=True, color_system="standard")
    trained_text.show(console, PARTS)
    assert re.search(r"\x1b\[1;32mHel", out.getvalue()) and "T|" not in out.getvalue()
