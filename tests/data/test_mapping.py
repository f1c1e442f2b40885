"""Columns and roles under other names: `dataset.sources[].columns` and `.roles`."""

from __future__ import annotations

from typing import Any

import pytest

from factory import config
from factory.data import formats, mapping
from factory.data.rejection import Rejected
from factory.errors import ConfigError


def read(row: dict[str, Any], format: str | None = None, **settings: Any) -> Any:
    """The turns and tools of one row, as its source describes it."""
    source = config.Source(path="x", format=format, **settings)
    found = mapping.of(source.columns, source.roles, source.format)
    assert found is not None
    renamed = found.row(row)
    name = found.format or format or formats.format_of(renamed)
    assert name is not None
    return formats.READERS[name](renamed)


def turns(row: dict[str, Any], format: str | None = None, **settings: Any) -> list[Any]:
    return [tuple(m.values()) for m in read(row, format, **settings)[0]]


DIALOG = {
    "dialog": [
        {"speaker": "customer", "utterance": "Hi"},
        {"speaker": "agent", "utterance": "Hello"},
    ],
    "note": "be kind",
    "prompt": "a column that means something else here",
}


def test_turns_under_other_names() -> None:
    columns = {"messages": "dialog", "role": "speaker", "content": "utterance", "system": "note"}
    roles = {"user": "customer", "assistant": ["agent", "bot"]}
    assert turns(DIALOG, columns=columns, roles=roles) == [
        ("system", "be kind"),
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]


def test_role_names_that_are_usual_need_no_roles() -> None:
    row = {"log": [{"who": "human", "said": "Hi"}, {"who": "gpt", "said": "Hello"}]}
    columns = {"messages": "log", "role": "who", "content": "said"}
    assert turns(row, columns=columns) == [("user", "Hi"), ("assistant", "Hello")]


def test_roles_alone_are_enough() -> None:
    row = {"conversations": [{"from": "Q", "value": "Hi"}, {"from": "A", "value": "Hello"}]}
    found = turns(row, roles={"user": "Q", "assistant": "A"})
    assert found == [("user", "Hi"), ("assistant", "Hello")]


def test_a_role_that_is_not_known_is_rejected_by_name() -> None:
    row = {"conversations": [{"from": "narrator", "value": "Hi"}]}
    with pytest.raises(Rejected) as caught:
        turns(row, roles={"user": "Q"})
    assert (caught.value.code, caught.value.detail) == ("unknown_role", "'narrator'")


def test_calls_and_their_results_keep_their_meaning() -> None:
    call = '{"name": "add", "arguments": {"a": 1}}'
    row = {
        "log": [
            {"who": "u", "said": "1+1"},
            {"who": "CALL", "said": call},
            {"who": "RESULT", "said": "2"},
            {"who": "a", "said": "2", "learn": 0},
        ],
        "functions": [{"name": "add", "parameters": {}}],
    }
    messages, tools = read(
        row,
        columns={
            "messages": "log",
            "role": "who",
            "content": "said",
            "train": "learn",
            "tools": "functions",
        },
        roles={"user": "u", "assistant": "a", "function_call": "CALL", "tool": "RESULT"},
    )
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": {"a": 1}}
    assert messages[3]["train"] is False
    assert tools == row["functions"]


@pytest.mark.parametrize(
    ("row", "columns", "expected"),
    [
        (
            {"q": "Hi", "a": "Hello", "question": "other", "answer": "other"},
            {"user": "q", "assistant": "a"},
            [("user", "Hi"), ("assistant", "Hello")],
        ),
        (
            {"q": "Hi", "a": "Hello", "persona": "Kind"},
            {"user": "q", "assistant": "a", "system": "persona"},
            [("system", "Kind"), ("user", "Hi"), ("assistant", "Hello")],
        ),
        (
            {"task": "Add", "input": "1", "done": "2"},
            {"instruction": "task", "output": "done"},
            [("user", "Add\n1"), ("assistant", "2")],
        ),
        (
            {"task": "Add", "input": "1", "done": "2"},
            {"instruction": "task", "input": None, "output": "done"},
            [("user", "Add"), ("assistant", "2")],
        ),
        (
            {"q": "Hi", "good": "Hello", "bad": "No"},
            {"user": "q", "chosen": "good", "rejected": "bad"},
            [("user", "Hi"), ("assistant", "Hello")],
        ),
        (
            {"Question": "Hi", "Why": "Polite.", "Response": "Hello"},
            {"user": "Question", "assistant": "Response", "reasoning_content": "Why"},
            [("user", "Hi"), ("assistant", "Hello", "Polite.")],
        ),
        (
            {"body": "<|im_start|>user\nHi<|im_end|><|im_start|>assistant\nHello<|im_end|>"},
            {"text": "body"},
            [("user", "Hi"), ("assistant", "Hello")],
        ),
    ],
)
def test_columns_settle_the_format(row: Any, columns: Any, expected: Any) -> None:
    assert turns(row, columns=columns) == expected


def test_preference_sides_are_turns_under_the_same_names() -> None:
    row = {
        "log": [{"who": "u", "said": "Hi"}],
        "good": {"who": "a", "said": "Hello"},
        "bad": {"who": "a", "said": "No"},
    }
    columns = {"messages": "log", "role": "who", "content": "said"}
    columns |= {"chosen": "good", "rejected": "bad"}
    found = turns(row, columns=columns, roles={"user": "u", "assistant": "a"})
    assert found == [("user", "Hi"), ("assistant", "Hello")]


def test_a_renamed_list_keeps_the_detection() -> None:
    row = {"dialog": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}
    assert turns(row, columns={"messages": "dialog"}) == [("user", "Hi"), ("assistant", "Hello")]


def test_options_are_renamed_too() -> None:
    found = mapping.of({"id": "key", "group": "thread"}, {}, None)
    assert found is not None
    assert found.row({"key": 7, "thread": "t", "id": "x", "prompt": "p"}) == {
        "id": 7,
        "group": "t",
        "prompt": "p",
    }


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"columns": {"user": "q"}}, "go together"),
        ({"columns": {"messages": "m", "instruction": "i"}}, "does not go with"),
        ({"columns": {"text": "t", "instruction": "i"}}, "different formats"),
        (
            {"columns": {"user": "q", "assistant": "a", "role": "r"}},
            "columns.role goes with turns, not with columns.user",
        ),
        ({"columns": {"instruction": "i"}, "roles": {"user": "u"}}, "roles goes with turns"),
        ({"columns": {"role": "r"}, "format": "alpaca"}, "is for format openai, not alpaca"),
        ({"columns": {"mesages": "m"}}, "unknown name; did you mean 'messages'?"),
        ({"roles": {"human": "h"}}, r"unknown name; one of system, user"),
        ({"colums": {}}, "unknown field; did you mean 'columns'?"),
        ({"path": None}, "it needs one of path, hub and name"),
    ],
)
def test_what_cannot_be_meant_is_refused(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        config.validate({"dataset": {"sources": [{"path": "data/raw", **source}]}})
    assert "dataset.sources.0" in str(caught.value)
