"""Fuzz target of the row parsers: whatever a row holds, it is canonical or a named reject.

Longer than in the suite: `python -m pytest tests/data/test_fuzz.py --hypothesis-profile=fuzz`
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.data.block import Origin, format_block
from factory.data.containers.jsonl import LineBlock
from factory.data.formats import READERS, UNKNOWN
from factory.data.rejection import REASONS
from factory.data.schema import canonical

settings.register_profile("fuzz", max_examples=100_000, deadline=None)

FIELDS = st.sampled_from(
    [
        "messages",
        "conversations",
        "role",
        "content",
        "from",
        "value",
        "tool_calls",
        "name",
        "function_call",
        "function",
        "arguments",
        "tools",
        "type",
        "text",
        "loss",
        "weight",
        "train",
        "instruction",
        "input",
        "output",
        "history",
        "system",
        "prompt",
        "completion",
        "question",
        "answer",
        "id",
        "group",
        "split",
        "tags",
        "tool_call_id",
        "chosen",
        "parts",
        "reasoning_content",
        "rejected",
        "thinking",
        "tool_use",
        "input_schema",
    ]
)
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "human",
        "gpt",
        "tool",
        "system",
        "function_call",
        "observation",
        "text",
        "tool_use",
        "tool_result",
        "thinking",
        "Hi",
        "",
        " ",
        "train",
        "test",
        "{}",
        "[]",
        '{"name": "look", "arguments": {}}',
        '{"name": 1}',
        "<|im_start|>user\nHi<|im_end|>",
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**70) | st.floats() | WORDS | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=20,
)
SIMPLE = st.sampled_from(
    [None, True, 0, 1, 0.5, 2**70, "", " ", "x", [], {}, [1], {"a": 1}, [["x"]]]
)
TURN = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("role", "content", "from", "value", "train"), VALUES | WORDS)
)
ROW = st.dictionaries(FIELDS, VALUES | st.lists(TURN | VALUES, max_size=4), max_size=5)


CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
MORE = {"id": "1", "group": "g", "split": "train", "tags": {"kind": "a"}}
GOOD: dict[str, list[dict[str, Any]]] = {
    "openai": [
        {
            "messages": [
                {"role": "system", "content": "Be brief"},
                {"role": "user", "content": [{"type": "text", "text": "Look"}]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "content": "42", "tool_call_id": "c1", "name": "look"},
                {
                    "role": "assistant",
                    "content": "It is 42",
                    "reasoning_content": "Hm",
                    "train": True,
                    "weight": 1,
                },
            ],
            "tools": [TOOL],
            **MORE,
        },
        {
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": "",
                    "function_call": {"name": "look", "arguments": "{}"},
                },
            ]
        },
    ],
    "anthropic": [
        {
            "system": "Be brief",
            "messages": [
                {"role": "user", "content": "Look"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm"},
                        {"type": "text", "text": "Now"},
                        {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": 1}},
                    ],
                },
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "42"}],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "42"}]},
            ],
            "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        }
    ],
    "sharegpt": [
        {
            "system": "Be brief",
            "conversations": [
                {"from": "human", "value": "Look"},
                {"from": "function_call", "value": '{"name": "look", "arguments": {"at": 1}}'},
                {"from": "observation", "value": "42"},
                {"from": "gpt", "value": "It is 42", "loss": True},
            ],
            "tools": "[]",
        }
    ],
    "chatml": [
        {"text": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n", **MORE}
    ],
    "alpaca": [
        {
            "instruction": "Add",
            "input": "1 and 2",
            "output": "3",
            "system": "Be brief",
            "history": [["Hi", "Hello"]],
        }
    ],
    "preference": [
        {"prompt": "Add", "chosen": "3", "rejected": "4"},
        {
            "prompt": [{"role": "user", "content": "Add"}],
            "chosen": [{"role": "assistant", "content": "3"}],
            "rejected": [{"role": "assistant", "content": "4"}],
        },
    ],
    "pairs": [{"question": "Add", "answer": "3", "system": "Be brief"}],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below `value`."""
    children = value.items() if type(value) is dict else enumerate(value)
    for key, child in children:
        yield (*path, key)
        if type(child) in (dict, list):
            yield from places(child, (*path, key))


@st.composite
def damaged(draw: st.DrawFn, form: str) -> dict[str, Any]:
    """A good row of a format in which one thing or two were replaced, removed or added."""
    row: dict[str, Any] = copy.deepcopy(draw(st.sampled_from(GOOD[form])))
    for _ in range(draw(st.integers(1, 2))):
        *parents, last = draw(st.sampled_from(list(places(row))))
        holder: Any = row
        for key in parents:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "replace":
            holder[last] = copy.deepcopy(draw(SIMPLE | VALUES))
        elif change == "remove":
            del holder[last]
        elif type(holder) is dict:
            holder[draw(FIELDS)] = copy.deepcopy(draw(SIMPLE | VALUES))
        if not row:
            break
    return row


def check(form: str, row: dict[str, Any]) -> None:
    """Format one row; it has to be canonical, or a reject that is named."""
    try:
        line = orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        return  # an integer that orjson does not write
    done = format_block(LineBlock(1, line + b"\n", 1 << 20), Origin("a.jsonl", form), {})
    assert len(done.records) + len(done.rejects) == 1
    assert all(code in REASONS for _, code, _ in done.rejects)
    assert all(map(canonical, done.lines.splitlines()))


@pytest.mark.parametrize("form", sorted(READERS.keys() - {UNKNOWN}))
def test_a_good_row_is_taken(form: str) -> None:
    assert GOOD[form]
    for row in GOOD[form]:
        line = orjson.dumps(row) + b"\n"
        done = format_block(LineBlock(1, line, 1 << 20), Origin("a.jsonl", form), {})
        assert done.rejects == [] and canonical(done.lines)


@pytest.mark.parametrize("form", sorted(READERS.keys() - {UNKNOWN}))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_row_is_canonical_or_a_named_reject(form: str, data: st.DataObject) -> None:
    check(form, data.draw(damaged(form)))


@pytest.mark.parametrize("form", READERS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(row=ROW)
def test_any_row_is_canonical_or_a_named_reject(form: str, row: dict) -> None:
    check(form, row)
