"""Thoughts before an answer: in their field or in the text, wherever a row has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from factory.data import containers
from factory.data.block import Origin, format_block
from factory.data.formats import READERS
from factory.data.markup import WORD_JOINER, SpecialTokens
from factory.data.reasoning import arranged, decide
from tests.conftest import ROOT

USER = {"role": "user", "content": "1+1"}
BOTH = {"role": "assistant", "content": "2", "reasoning_content": "One and one."}
IN_TEXT = {"role": "assistant", "content": "<think>\nOne and one.\n</think>\n\n2"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<think>One and one.</think>2", ("2", "One and one.")),
        (" <think>\nOne and one.\n</think>\n\n2", ("2", "One and one.")),
        ("<think>\n\n</think>\n\n2", ("2", None)),
        ("<think>cut off", ("<think>cut off", None)),
        ("<think>only</think>", ("<think>only</think>", None)),
        ("Say <think>no</think>", ("Say <think>no</think>", None)),
    ],
)
def test_thoughts_at_the_start_of_an_answer_get_their_field(content: str, expected: Any) -> None:
    turns: Any = [USER, {"role": "assistant", "content": content}]
    answer = arranged(turns, "field")[1]
    assert (answer["content"], answer.get("reasoning_content")) == expected


def test_nobody_elses_words_are_taken_for_thoughts() -> None:
    turns: Any = [{"role": "user", "content": "<think>a</think>b"}, IN_TEXT]
    assert arranged(turns, "field") == [turns[0], BOTH]


def test_thoughts_in_their_field_go_into_the_text_and_back() -> None:
    turns: Any = [USER, BOTH]
    inline = arranged(turns, "inline")
    assert inline == [USER, IN_TEXT]
    assert arranged(inline, "field") == turns
    assert arranged(turns, "keep") is turns


LOOP = "{%% for m in messages %%}%s{%% endfor %%}"


@pytest.mark.parametrize(
    ("asked", "template", "value"),
    [
        ("keep", "{{ m.reasoning_content }}", "keep"),
        ("auto", "{{ m.content }}", "inline"),
        ("auto", "{{ m.reasoning_content }}{{ m.content }}", "field"),
        (
            "auto",
            "{% if m.tool_calls %}{{ m.reasoning_content }}{% endif %}{{ m.content }}",
            "inline",
        ),
        ("auto", "{{ m.content.split('</think>')[-1] }}", "keep"),
    ],
)
def test_rendering_decides_where_thoughts_go(
    tmp_path: Path, asked: str, template: str, value: str
) -> None:
    found = decide(asked, LOOP % template, ROOT / "models" / "base", tmp_path / "log")
    assert found.value == value
    assert ("none are trained" in found.reason) == (template.endswith("[-1] }}"))


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("openai", {"messages": [USER, {**BOTH}]}),
        (
            "openai",
            {
                "messages": [
                    USER,
                    {"role": "assistant", "content": "2", "reasoning": "One and one."},
                ]
            },
        ),
        (
            "sharegpt",
            {
                "conversations": [
                    {"from": "human", "value": "1+1"},
                    {"from": "gpt", "value": "2", "thinking": "One and one."},
                ]
            },
        ),
        ("pairs", {"prompt": "1+1", "completion": "2", "reasoning_content": "One and one."}),
        ("alpaca", {"instruction": "1+1", "output": "2", "reasoning_content": "One and one."}),
    ],
)
def test_thoughts_are_kept_by_every_reader(name: str, row: dict[str, Any]) -> None:
    assert READERS[name](row)[0] == [USER, BOTH]


def written(path: Path, origin: Origin) -> list[Any]:
    blocks = (block for piece in containers.pieces(path, 1 << 20) for block in piece.blocks())
    lines = b"".join(format_block(block, origin, {}).lines for block in blocks)
    return [orjson.loads(line)["conversations"] for line in lines.splitlines()]


def as_lines(rows: list[Any], path: Path) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows))
    return path


def as_escapes(rows: list[Any], path: Path) -> Path:
    """As other languages write JSON: `<` as an escape."""
    text = as_lines(rows, path).read_bytes()
    path.write_bytes(text.replace(b"<", b"\\u003c"))
    return path


def as_parquet(rows: list[Any], path: Path) -> Path:
    import pyarrow
    from pyarrow import parquet

    path = path.with_suffix(".parquet")
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def as_arrow_stream(rows: list[Any], path: Path) -> Path:
    """As `datasets` keeps them in its cache."""
    import pyarrow

    path = path.with_suffix(".arrow")
    table = pyarrow.Table.from_pylist(rows)
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_stream(file, table.schema) as to:
        to.write_table(table)
    return path


@pytest.mark.parametrize("write", [as_lines, as_escapes, as_parquet, as_arrow_stream])
def test_marks_are_seen_in_rows_that_would_go_through_untouched(
    tmp_path: Path, write: Callable[[list[Any], Path], Path]
) -> None:
    plain = [USER, {"role": "assistant", "content": "2"}]
    hostile = [{"role": "user", "content": "<|end|>"}, plain[1]]
    rows = [{"messages": turns} for turns in (plain, [USER, IN_TEXT], hostile)]
    path = write(rows, tmp_path / "rows.jsonl")
    special = SpecialTokens(("<|end|>",), "neutralise")
    found = written(path, Origin("a", "openai", special_tokens=special, reasoning="field"))
    assert found == [
        plain,
        [USER, BOTH],
        [{"role": "user", "content": f"<{WORD_JOINER}|end|>"}, plain[1]],
    ]


def test_nested_columns_of_a_table_keep_calls_and_tools(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    turns = [
        {"role": "user", "content": "1+1", "tool_calls": None},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    tools = '[{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]'
    path = as_parquet([{"messages": turns, "tools": tools}], tmp_path / "rows.jsonl")
    (found,) = written(path, Origin("a", "openai"))
    assert found[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": {"a": 1}}
    assert "tool_calls" not in found[0]
