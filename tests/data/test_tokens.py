"""Token counts agree with the tokenizer's own, and rows that are not counted are surely short."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.data import tokens
from factory.data.lines import Segment
from factory.data.tokens import RICH, SAMPLE, WANTED
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


def test_several_processes_count_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Any
) -> None:
    monkeypatch.setattr(tokens, "ROWS_PER_WORKER", 200)
    lines = [
        orjson.dumps(row("Hi " * (n % 7), "there"), option=orjson.OPT_APPEND_NEWLINE)
        for n in range(600)
    ]
    path = tmp_path / "part.jsonl"
    path.write_bytes(b"".join(lines))
    sizes = np.fromiter(map(len, lines), "<u4")
    sizes.tofile(tmp_path / "size.column")
    request = tokens.Request(
        tokenizer=BASE,
        chat_template=None,
        max_tokens=100,
        segments=[Segment(path, 0, int(sizes.sum()), len(lines))],
        sizes=str(tmp_path / "size.column"),
        folder=str(tmp_path),
        workers=2,
    )
    every = np.arange(600)
    by_two = [n for found in tokens._counted(tokenizer, request, sizes, every) for n in found]
    assert by_two == list(tokens.lengths(tokenizer, list(map(orjson.loads, lines))))


def test_a_counter_that_is_not_needed_ends(tmp_path: Path) -> None:
    with tokens.counter(tmp_path, workers=2) as process:
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL


def test_a_waiting_counter_counts_the_same(tmp_path: Path, tokenizer: Any) -> None:
    line = orjson.dumps(row("Hi", "there"), option=orjson.OPT_APPEND_NEWLINE)
    path = tmp_path / "part.jsonl"
    path.write_bytes(line)
    np.array([len(line)], dtype="<u4").tofile(tmp_path / "size.column")
    request = tokens.Request(
        tokenizer=BASE,
        chat_template=None,
        max_tokens=100,
        segments=[Segment(path, 0, len(line), 1)],
        sizes=str(tmp_path / "size.column"),
        folder=str(tmp_path),
    )
    flags = np.array([WANTED | SAMPLE], dtype=np.uint8)
    with tokens.counter(tmp_path, workers=2) as process:
        found = tokens.count(
            request,
            flags,
            log=tmp_path / "log",
            on_progress=lambda done, total: None,
            process=process,
        )
    assert found.values.tolist() == list(tokens.lengths(tokenizer, [orjson.loads(line)]))
