"""Token counts agree with the tokenizer's own, and rows that are not counted are surely short."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory import child
from factory.data import tokens
from factory.data.lines import Segment
from factory.data.tokens import RICH, SAMPLE, WANTED
from factory.errors import DataError
from tests.conftest import ROOT

BASE = str(ROOT / "models" / "base")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokens.load_tokenizer(BASE, None)


def row(*texts: str) -> dict[str, Any]:
    roles = ("user", "assistant") * len(texts)
    return {
        "conversations": [
            {"role": role, "content": text} for role, text in zip(roles, texts, strict=False)
        ]
    }


def prepared(folder: Path, rows: list[dict[str, Any]]) -> tuple[tokens.Request, np.ndarray]:
    """A request to count rows, all of them in the sample."""
    lines = [orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows]
    path = folder / "part.jsonl"
    path.write_bytes(b"".join(lines))
    sizes = np.array(list(map(len, lines)), dtype="<u4")
    sizes.tofile(folder / "size.column")
    request = tokens.Request(
        tokenizer=BASE,
        chat_template=None,
        max_tokens=1000,
        segments=[Segment(path, 0, int(sizes.sum()), len(lines))],
        sizes=str(folder / "size.column"),
        folder=str(folder),
    )
    return request, np.full(len(lines), WANTED | SAMPLE, dtype=np.uint8)


def quiet(done: int, total: int) -> None:
    """Progress that nobody looks at."""


def test_lengths_are_those_of_the_template(tokenizer: Any) -> None:
    rows = [row("Hi", "Hello"), row("Look at $7E0010", "é" * 30, "and?", "日本")]
    expected = [
        len(tokenizer.apply_chat_template(r["conversations"], tokenize=True)["input_ids"])
        for r in rows
    ]
    assert list(tokens.lengths(tokenizer, rows)) == expected


def test_truncation_and_padding_of_the_tokenizer_file_do_not_count() -> None:
    tokenizer = tokens.load_tokenizer(BASE, None)
    rows = [row("Hi", "Hello"), row("Look at $7E0010", "é" * 30)]
    expected = list(tokens.lengths(tokenizer, rows))
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=64)
    assert list(tokens.lengths(tokenizer, rows)) == expected


def test_a_row_that_the_template_refuses(tokenizer: Any) -> None:
    refusing = tokens.load_tokenizer(BASE, "{{ raise_exception('no') }}")
    assert list(tokens.lengths(refusing, [row("Hi", "Hello")])) == [tokens.UNRENDERABLE]


TEXTS = st.lists(st.text(min_size=1, max_size=80), min_size=2, max_size=8)


@given(texts=TEXTS)
def test_bytes_bound_the_tokens_of_a_row_of_texts(tokenizer: Any, texts: list[str]) -> None:
    try:
        size = len(orjson.dumps(row(*texts)))
    except orjson.JSONEncodeError:
        return  # a lone surrogate
    (count,) = tokens.lengths(tokenizer, [row(*texts)])
    assert count <= size + tokens.template_slack(tokenizer)


def test_only_rows_that_may_be_long_or_are_sampled_are_counted() -> None:
    sizes = np.array([10, 99, 101, 30, 101, 10], dtype=np.uint32)
    flags = np.array([WANTED, WANTED, WANTED, WANTED | RICH, 0, WANTED | SAMPLE], dtype=np.uint8)
    assert tokens.to_count(sizes, flags, 100).tolist() == [2, 3, 5]


def test_all_rows_are_counted_when_there_is_no_bound() -> None:
    flags = np.full(3, WANTED, dtype=np.uint8)
    sizes = np.ones(3, dtype=np.uint32)
    assert len(tokens.to_count(sizes, flags, 2048 - tokens.NO_BOUND)) == 3


def test_rows_that_surely_fit_can_wait_as_long_as_they_can_be_held() -> None:
    rows, flags = np.array([0, 1, 2]), np.full(3, WANTED | SAMPLE, dtype=np.uint8)
    sizes = np.array([10, 101, 30], dtype=np.uint32)
    assert tokens.can_wait(rows, sizes, flags, 100).tolist() == [True, False, True]
    sizes[2] = tokens.HELD_BYTES
    assert tokens.can_wait(rows, sizes, flags, 2 * tokens.HELD_BYTES).tolist() == [False] * 3


def test_several_processes_count_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Any
) -> None:
    monkeypatch.setattr(tokens, "ROWS_PER_WORKER", 200)
    rows = [row("Hi " * (n % 7), "there") for n in range(600)]
    request = replace(prepared(tmp_path, rows)[0], workers=2)
    sizes = np.fromfile(request.sizes, "<u4")
    every = np.arange(600)
    by_two = [n for found in tokens._counted(tokenizer, request, sizes, every) for n in found]
    assert by_two == list(tokens.lengths(tokenizer, rows))


def test_a_counter_that_is_not_needed_ends(tmp_path: Path) -> None:
    with tokens.counter(tmp_path, workers=2) as process:
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL


def test_a_waiting_counter_counts_the_same(tmp_path: Path, tokenizer: Any) -> None:
    request, flags = prepared(tmp_path, [row("Hi", "there")])
    with tokens.counter(tmp_path, workers=2) as process:
        settled = tokens.settle(process, request, flags, log=tmp_path / "log", on_progress=quiet)
        request.segments[0].path.unlink()  # the counter is done with the lines
        found = tokens.finish(process, request, log=tmp_path / "log", on_progress=quiet)
    assert settled.rows.tolist() == []
    assert found.values.tolist() == list(tokens.lengths(tokenizer, [row("Hi", "there")]))


def test_a_counter_settles_what_decides_about_rows(tmp_path: Path) -> None:
    """A row that may be too long is counted before, one that the template refuses is known."""
    fits, too_long, refused = row("Hi", "there"), row("a b " * 600, "c"), row("Hi", "there")
    refused["conversations"] = refused["conversations"][::-1]
    request, flags = prepared(tmp_path, [fits, too_long, refused])
    refuses_answers_first = (
        "{% if messages[0].role == 'assistant' %}{{ raise_exception('no') }}{% endif %}"
        "{% for m in messages %}{{ m.content }}{% endfor %}"
    )
    request = replace(request, chat_template=refuses_answers_first)
    with tokens.counter(tmp_path, workers=1) as process:
        settled = tokens.settle(process, request, flags, log=tmp_path / "log", on_progress=quiet)
        found = tokens.finish(process, request, log=tmp_path / "log", on_progress=quiet)
    assert settled.rows.tolist() == [1, 2]
    assert settled.of(2) == tokens.UNRENDERABLE
    assert found.rows.tolist() == [0, 1, 2]
    assert found.of(1) == settled.of(1)


def test_a_counter_that_dies_early_says_so(tmp_path: Path) -> None:
    request, flags = prepared(tmp_path, [row("Hi", "there")])
    request = replace(request, tokenizer=str(tmp_path / "none"))
    with tokens.counter(tmp_path, workers=1) as process, pytest.raises(DataError):
        tokens.settle(process, request, flags, log=tmp_path / "log", on_progress=quiet)


def test_a_counter_that_is_dead_before_it_is_asked_says_so(tmp_path: Path) -> None:
    request, flags = prepared(tmp_path, [row("Hi", "there")])
    with pytest.raises(DataError, match="exit code -9"), tokens.counter(tmp_path, 1) as process:
        process.kill()
        process.wait()
        tokens.settle(process, request, flags, log=tmp_path / "log", on_progress=quiet)


def test_a_counter_that_dies_late_says_so(tmp_path: Path) -> None:
    request, _ = prepared(tmp_path, [row("Hi", "there")])
    process = child.start([sys.executable, "-c", "raise SystemExit(3)"], environment={})
    with pytest.raises(DataError, match="exit code 3"):
        tokens.finish(process, request, log=tmp_path / "log", on_progress=quiet)
