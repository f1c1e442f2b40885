"""Every row format gives the canonical turns, or the reason why it cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest

from factory.data.formats import FORMATS, detect, format_of
from factory.data.rejection import Rejected

USER = {"role": "user", "content": "Hi"}
SAID = {"role": "assistant", "content": "Hello"}
CALL = {"type": "function", "function": {"name": "look", "arguments": {"at": "$7E0010"}}}


def turns(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The canonical turns of `row`, read in the format that is detected."""
    name = format_of(row)
    assert name is not None
    return FORMATS[name].read(row)[0]


ROWS = {
    "messages": ({"messages": [USER, SAID]}, [USER, SAID]),
    "own rows": ({"conversations": [USER, SAID]}, [USER, SAID]),
    "developer role": (
        {"messages": [{"role": "developer", "content": "Be brief"}, USER, SAID]},
        [{"role": "system", "content": "Be brief"}, USER, SAID],
    ),
    "call with arguments as text": (
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "look", "arguments": '{"at": "$7E0010"}'},
                        }
                    ],
                },
                {"role": "tool", "content": "42", "tool_call_id": "c1"},
            ]
        },
        [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [{**CALL, "id": "c1"}]},
            {"role": "tool", "content": "42", "tool_call_id": "c1"},
        ],
    ),
    "older function call": (
        {
            "messages": [
                USER,
                {
                    "role": "assistant",
                    "content": None,
                    "function_call": {"name": "look", "arguments": '{"at": "$7E0010"}'},
                },
                {"role": "function", "name": "look", "content": "42"},
            ]
        },
        [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "42", "name": "look"},
        ],
    ),
    "content parts": (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, SAID]},
        [USER, SAID],
    ),
    "typed parts of LLaMA-Factory": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "value": "Hi"}], "loss_weight": 0.0},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "reasoning", "value": "Hm."},
                        {
                            "type": "tool_call",
                            "value": '{"name": "look", "arguments": {"at": "$7E0010"}}',
                        },
                    ],
                    "loss_weight": 1.0,
                },
            ]
        },
        [
            USER,
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "Hm.",
                "tool_calls": [CALL],
            },
        ],
    ),
    "turn without loss": (
        {"messages": [USER, {**SAID, "weight": 0}, USER, SAID]},
        [USER, {**SAID, "train": False}, USER, SAID],
    ),
    "ShareGPT": (
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        [USER, SAID],
    ),
    "ShareGPT with a system field": (
        {
            "system": "Be brief",
            "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}],
        },
        [{"role": "system", "content": "Be brief"}, USER, SAID],
    ),
    "ShareGPT tool turns": (
        {
            "conversations": [
                {"from": "human", "value": "Hi"},
                {
                    "from": "function_call",
                    "value": '{"name": "look", "arguments": {"at": "$7E0010"}}',
                },
                {"from": "observation", "value": "42"},
                {"from": "gpt", "value": "Hello"},
            ]
        },
        [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": "42"},
            SAID,
        ],
    ),
    "Alpaca": (
        {"instruction": "Add", "input": "1 and 2", "output": "3"},
        [{"role": "user", "content": "Add\n1 and 2"}, {"role": "assistant", "content": "3"}],
    ),
    "Alpaca with history": (
        {
            "instruction": "Hi",
            "input": "",
            "output": "Hello",
            "system": "Be brief",
            "history": [["a", "b"]],
        },
        [
            {"role": "system", "content": "Be brief"},
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            USER,
            SAID,
        ],
    ),
    "prompt and completion": ({"prompt": "Hi", "completion": "Hello"}, [USER, SAID]),
    "question and answer": ({"question": "Hi", "answer": "Hello"}, [USER, SAID]),
    "input and output": ({"input": "Hi", "output": "Hello"}, [USER, SAID]),
}


@pytest.mark.parametrize("name", ROWS)
def test_row_becomes_canonical(name: str) -> None:
    row, expected = ROWS[name]
    assert turns(row) == expected


def call_of(arguments: Any) -> dict[str, Any]:
    calls = [{"function": {"name": "look", "arguments": arguments}}]
    return {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": calls}]}


BROKEN = {
    "no turns": ({"messages": [], "prompt": 1}, "openai", "no_messages"),
    "turn that is no object": ({"messages": [USER, "Hello"]}, "openai", "bad_message"),
    "unknown role": (
        {"messages": [USER, {"role": "narrator", "content": "x"}]},
        "openai",
        "unknown_role",
    ),
    "role that is no text": ({"messages": [USER, {"role": 3}]}, "openai", "unknown_role"),
    "content that is a number": (
        {"messages": [{"role": "user", "content": 3}, SAID]},
        "openai",
        "bad_content",
    ),
    "image": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, SAID]},
        "openai",
        "unsupported_part",
    ),
    "arguments that are not JSON": (call_of("{at: 1"), "openai", "bad_tool_call"),
    "arguments that are a list": (call_of([1]), "openai", "bad_tool_call"),
    "argument that would lose digits": (
        call_of('{"at": 123456789012345678901234567890}'),
        "openai",
        "bad_tool_call",
    ),
    "fractional loss weight": (
        {"messages": [USER, {**SAID, "weight": 0.5}]},
        "openai",
        "bad_field",
    ),
    "ShareGPT turn without value": (
        {"conversations": [{"from": "human"}]},
        "sharegpt",
        "bad_message",
    ),
    "ShareGPT value that is a list": (
        {"conversations": [{"from": "human", "value": []}]},
        "sharegpt",
        "bad_content",
    ),
    "Alpaca output that is a number": (
        {"instruction": "Hi", "output": 3},
        "alpaca",
        "bad_content",
    ),
    "other fields": ({"text": "Hi"}, "pairs", "wrong_format"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_row_is_refused_with_its_reason(name: str) -> None:
    row, form, code = BROKEN[name]
    with pytest.raises(Rejected) as caught:
        FORMATS[form].read(row)
    assert caught.value.code == code


def test_the_commonest_format_of_the_first_rows_is_detected() -> None:
    rows = [{"question": "a", "answer": "b"}] * 3 + [{"messages": [USER, SAID]}]
    form, votes, asked = detect(rows)
    assert form is not None
    assert (form.name, votes, asked) == ("pairs", 3, 4)


def test_nothing_is_detected_in_other_rows() -> None:
    assert detect([{"text": "x"}])[0] is None


def test_parallel_calls_stay_in_one_turn() -> None:
    calls = [{"name": "look", "arguments": {"at": n}} for n in (1, 2)]
    row = {
        "conversations": [
            {"from": "human", "value": "Hi"},
            {"from": "function_call", "value": json.dumps(calls)},
        ]
    }
    assert [c["function"]["arguments"]["at"] for c in turns(row)[1]["tool_calls"]] == [1, 2]


MORE = {
    "Anthropic tool use": (
        {
            "system": "Be brief",
            "messages": [
                {"role": "user", "content": "Hi"},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "Hm."},
                        {"type": "text", "text": "One moment."},
                        {
                            "type": "tool_use",
                            "id": "t1",
                            "name": "look",
                            "input": {"at": "$7E0010"},
                        },
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "t1", "content": "42"},
                        {"type": "text", "text": "Thanks"},
                    ],
                },
                {"role": "assistant", "content": "Hello"},
            ],
        },
        [
            {"role": "system", "content": "Be brief"},
            USER,
            {
                "role": "assistant",
                "content": "One moment.",
                "reasoning_content": "Hm.",
                "tool_calls": [{**CALL, "id": "t1"}],
            },
            {"role": "tool", "content": "42", "tool_call_id": "t1"},
            {"role": "user", "content": "Thanks"},
            SAID,
        ],
    ),
    "preference with texts": (
        {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
        [USER, SAID],
    ),
    "preference with an instruction and its input": (
        {"instruction": "Say", "input": "Hi", "history": [["a", "b"]], "chosen": "Hello"}
        | {"rejected": "No"},
        [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "Say\nHi"},
            SAID,
        ],
    ),
    "preference with conversations": (
        {"chosen": [USER, SAID], "rejected": [USER, {"role": "assistant", "content": "No"}]},
        [USER, SAID],
    ),
    "preference with ShareGPT turns": (
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Hello"},
            "rejected": {"from": "gpt", "value": "No"},
        },
        [USER, SAID],
    ),
    "ChatML text": (
        {"text": "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"},
        [USER, SAID],
    ),
}


@pytest.mark.parametrize("name", MORE)
def test_more_formats_become_canonical(name: str) -> None:
    row, expected = MORE[name]
    assert turns(row) == expected


def test_text_between_chatml_turns_is_not_lost_silently() -> None:
    text = "<|im_start|>user\nHi<|im_end|>\nstray <|im_start|>assistant\nHello<|im_end|>"
    with pytest.raises(Rejected) as caught:
        FORMATS["chatml"].read({"text": text})
    assert caught.value.code == "bad_message"


def test_a_chosen_side_that_answers_nothing_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        turns({"prompt": [USER, SAID], "chosen": [USER], "rejected": [SAID]})
    assert (caught.value.code, caught.value.detail) == (
        "bad_turn_order",
        "chosen ends with a user turn",
    )
