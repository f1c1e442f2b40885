"""Fuzz target of the row parsers: whatever a row holds, it is canonical or a named reject.

Longer than in the suite: `python -m pytest tests/data/test_fuzz.py --hypothesis-profile=fuzz`
"""

from __future__ import annotations

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from factory.data.block import Origin, format_block
from factory.data.containers.jsonl import LineBlock
from factory.data.formats import READERS
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
TURN = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("role", "content", "from", "value", "train"), VALUES | WORDS)
)
ROW = st.dictionaries(FIELDS, VALUES | st.lists(TURN | VALUES, max_size=4), max_size=5)


@pytest.mark.parametrize("form", READERS)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(row=ROW)
def test_any_row_is_canonical_or_a_named_reject(form: str, row: dict) -> None:
    try:
        line = orjson.dumps(row, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        return  # an integer that orjson does not write
    done = format_block(LineBlock(1, line + b"\n", 1 << 20), Origin("a.jsonl", form))
    assert len(done.records) + len(done.rejects) == 1
    assert all(code in REASONS for _, code, _ in done.rejects)
    assert all(map(canonical, done.lines.splitlines()))
