"""The mask as a person sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.context import Context
from factory.errors import ConfigError, DataError
from factory.training import mask_view
from factory.training.templates.training_data import Mask
from tests.training.conftest import make_context, row, write_rows


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return make_context(tmp_path_factory.mktemp("mask") / "ws")


@pytest.fixture(scope="module")
def mask(context: Context) -> Mask:
    return mask_view.load_mask(context)


def test_pieces_are_the_whole_row_and_the_answer_is_trained(mask: Mask) -> None:
    pieces = mask_view.pieces(mask, row(3))
    assert "".join(text for text, _ in pieces) == mask.encode(row(3))[0]
    trained = "".join(text for text, trained in pieces if trained)
    assert trained.startswith('<tool_call>\n{"name": "read_memory"')
    assert trained.endswith("<|im_end|>")


def test_characters_of_several_tokens_are_shown_once(mask: Mask) -> None:
    turns = [{"role": "user", "content": "👩‍👩‍👧"}, {"role": "assistant", "content": "ß😀"}]
    emoji = {"conversations": turns}
    text = "".join(text for text, _ in mask_view.pieces(mask, emoji))
    assert text == mask.encode(emoji)[0]


def test_counts_over_a_split(context: Context, mask: Mask) -> None:
    counts = mask_view.summary(mask, context.path("dataset.path"))
    assert counts["rows"] == 40
    assert 0 < counts["trained_tokens"] < counts["tokens"]


def test_a_row_that_cannot_be_proven_is_named(mask: Mask, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [row(0), {"conversations": [{"role": "assistant", "content": None}]}])
    mask.closers, before = ["never"], mask.closers
    try:
        with pytest.raises(DataError, match=r"rows\.jsonl:1"):
            mask_view.summary(mask, path)
    finally:
        mask.closers = before


def test_a_line_that_is_not_there(context: Context) -> None:
    with pytest.raises(ConfigError, match="there is no row 99"):
        list(mask_view.rows(context.path("dataset.path"), 99))


def test_html_shows_data_as_text() -> None:
    page = mask_view.as_html([("<title>", [("<script>alert(1)</script>", True), ("&", False)])])
    assert "<script>" not in page
    assert "<mark>&lt;script&gt;" in page
    assert "default-src 'none'" in page


def test_json_joins_neighbours() -> None:
    assert mask_view.as_json([("a", True), ("b", True), ("c", False), ("", False)]) == [
        {"text": "ab", "trained": True},
        {"text": "c", "trained": False},
    ]
