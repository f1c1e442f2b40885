"""What people see."""

import pytest

from factory.console import Console

Capture = pytest.CaptureFixture[str]


def test_markup_in_data_is_text(capsys: Capture) -> None:
    console = Console()
    console.line("[red]not a colour[/red]")
    console.table(["a[b]"], [["[link=x]y"]])
    shown = capsys.readouterr().out
    assert "[red]not a colour[/red]" in shown
    assert "[link=x]y" in shown


def test_long_cells_are_whole_in_a_log(capsys: Capture) -> None:
    Console().table(["file", "rows"], [["data/raw/" + "x" * 90 + ".jsonl", 3]])
    assert "x" * 90 + ".jsonl" in capsys.readouterr().out


def test_missing_numbers_are_a_dash_and_no_zero(capsys: Capture) -> None:
    Console().table(["metric", "value"], [["loss", None], ["f1", 0.5], ["tiny", 1e-5]])
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert ["loss", "-"] in lines
    assert ["f1", "0.500"] in lines
    assert ["tiny", "1e-05"] in lines


def test_json_mode_leaves_stdout_alone(capsys: Capture) -> None:
    Console(json_mode=True).line("to stderr")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "to stderr\n")


def test_no_colours_outside_a_terminal(capsys: Capture) -> None:
    Console().line("plain", style="bold red")
    assert capsys.readouterr().out == "plain\n"
