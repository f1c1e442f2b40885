"""Pieces know the number of their first line, whoever counted the lines before them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from threading import Thread

import pytest

from factory.data import work
from factory.data.block import Origin
from factory.data.containers import jsonl, numbering
from factory.errors import DataError

ORIGIN = Origin("rows.jsonl", "openai")


@pytest.fixture
def shared() -> Iterator[None]:
    """This process as a worker: it shares a board for one piece at a time."""
    numbering.share(numbering.board(get_context("spawn"), 1))
    yield
    numbering._boards.clear()


def sent(start: numbering.Start) -> numbering.Start:
    return pickle.loads(pickle.dumps(start))


def test_a_start_is_what_it_was_told() -> None:
    start = numbering.Start()
    start.tell(7)
    assert start.line() == 7


def test_a_start_that_nobody_told_is_no_number() -> None:
    with pytest.raises(DataError, match="could not be counted"):
        numbering.Start().line()


def test_what_is_sent_waits_until_it_is_told(shared: None) -> None:
    start, found = numbering.Start(), []
    thread = Thread(target=lambda: found.append(sent(start).line()))
    thread.start()
    sent(start).tell((1 << 40) - 1)
    thread.join()
    assert found == [(1 << 40) - 1]


def test_what_is_sent_and_known_needs_no_board() -> None:
    assert sent(numbering.Start(1)).line() == 1


def test_who_waits_for_a_count_that_failed_is_told_so(shared: None) -> None:
    start = numbering.Start()
    sent(start).tell(numbering.UNKNOWN)
    with pytest.raises(DataError, match="could not be counted"):
        sent(start).line()


def test_a_place_of_the_board_is_used_again(shared: None) -> None:
    for line in range(1, 20):
        start = numbering.Start()
        sent(start).tell(line)
        assert sent(start).line() == line


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of one, no, and many pieces, with blank lines; the last line of each has no end."""
    found = []
    for name, rows in enumerate((3, 0, 2000, 1, 1500)):
        lines = [
            json.dumps({"messages": [{"role": "user", "content": str(n)}]}) for n in range(rows)
        ]
        text = "\n".join(line + "\n" * (n % 3) for n, line in enumerate(lines))
        (tmp_path / f"{name}.jsonl").write_text(text.rstrip("\n"))
        found.append(tmp_path / f"{name}.jsonl")
    return found


def lines_of(files: list[Path], folder: Path, workers: int) -> list[list[int]]:
    """The line numbers that are rejected in each piece: a user who gets no answer is no example."""
    tasks = (
        work.Task(number, 0, ORIGIN, piece)
        for number, path in enumerate(files)
        for piece in jsonl.pieces(path, 1 << 20)
    )
    with work.pool(workers) as pool:
        done = list(work.format_pieces(tasks, folder, pool))
    return [[line for line, _, _ in piece.rejects] for piece in done]


def test_workers_number_lines_as_one_process_does(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "PIECE_BYTES", 1000)
    alone = lines_of(files, tmp_path, 1)
    assert len(alone) > 100
    with_content = [
        number
        for path in files
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if line
    ]
    assert [line for piece in alone for line in piece] == with_content
    assert lines_of(files, tmp_path, 3) == alone


def test_a_file_that_is_gone_is_an_error_and_nobody_waits(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonl, "PIECE_BYTES", 1000)
    pieces = list(jsonl.pieces(files[2], 1 << 20))
    files[2].unlink()
    tasks = [work.Task(0, 0, ORIGIN, piece) for piece in pieces]
    with pytest.raises(DataError, match="no such file"), work.pool(2) as pool:
        list(work.format_pieces(tasks, tmp_path, pool))
