"""Reading and scoring tool calls."""

import pytest

from factory.scoring import tool_calls
from factory.scoring.tool_calls import Call

CALL = Call("read_memory", {"address": "$7E0010", "length": 16})
SYNTAXES = {
    "hermes": '<tool_call>\n{"name": "read_memory", "arguments": {"address": "$7E0010", '
    '"length": 16}}\n</tool_call>',
    "hermes cut before the closing tag": '<tool_call>\n{"name": "read_memory", "arguments": '
    '{"address": "$7E0010", "length": 16}}',
    "text before the call": 'Reading. <tool_call>{"name": "read_memory", "arguments": '
    '{"length": 16, "address": "$7E0010"}}</tool_call>',
    "qwen3-coder": "<tool_call>\n<function=read_memory>\n<parameter=address>\n$7E0010\n</parameter>"
    "\n<parameter=length>\n16\n</parameter>\n</function>\n</tool_call>",
    "llama-3.1": '<|python_tag|>{"name": "read_memory", "parameters": {"address": "$7E0010", '
    '"length": 16}}',
    "bare json": '{"name": "read_memory", "parameters": {"address": "$7E0010", "length": 16}}',
    "json list": '[{"name": "read_memory", "arguments": {"address": "$7E0010", "length": 16}}]',
    "openai": '{"type": "function", "function": {"name": "read_memory", "arguments": '
    '"{\\"address\\": \\"$7E0010\\", \\"length\\": 16}"}}',
    "mistral list": '[TOOL_CALLS] [{"name": "read_memory", "arguments": {"address": "$7E0010", '
    '"length": 16}}]',
    "mistral named": '[TOOL_CALLS]read_memory[ARGS]{"address": "$7E0010", "length": 16}',
    "fenced": 'Here:\n```json\n{"name": "read_memory", "arguments": {"address": "$7E0010", '
    '"length": 16}}\n```',
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_reads_every_syntax(syntax: str) -> None:
    reading = tool_calls.read(SYNTAXES[syntax])
    assert reading.calls == [CALL]
    assert not reading.broken


def test_reads_parallel_calls() -> None:
    text = '<tool_call>{"name": "a", "arguments": {}}</tool_call>\n' * 2
    assert tool_calls.read(text).calls == [Call("a", {}), Call("a", {})]
    assert tool_calls.read('[TOOL_CALLS]a{}[TOOL_CALLS]b{"x": 1}').calls == [
        Call("a", {}),
        Call("b", {"x": 1}),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name": "a", "argu',
        "<tool_call>nonsense</tool_call>",
        "[TOOL_CALLS]{{",
        "<tool_call>[]",
    ],
)
def test_a_started_call_that_cannot_be_read_is_broken(text: str) -> None:
    assert tool_calls.read(text).broken


@pytest.mark.parametrize(
    "text", ["", "The answer is 4.", 'I would say {"name": "a"} here', '{"result": 4}', "[1, 2]"]
)
def test_ordinary_text_is_no_call(text: str) -> None:
    reading = tool_calls.read(text)
    assert reading.calls == []
    assert not reading.broken


def test_score_of_the_same_call_is_full() -> None:
    score = tool_calls.score([CALL], [CALL])
    assert (score.exact, score.tool) == (True, True)
    assert (score.true_positives, score.false_positives, score.false_negatives) == (2, 0, 0)


def test_a_wrong_value_costs_precision_and_recall() -> None:
    found = Call("read_memory", {"address": "$7E0010", "length": 32})
    score = tool_calls.score([CALL], [found])
    assert (score.exact, score.tool) == (False, True)
    assert (score.true_positives, score.false_positives, score.false_negatives) == (1, 1, 1)


def test_a_wrong_tool_makes_every_parameter_wrong() -> None:
    score = tool_calls.score([CALL], [Call("write_memory", CALL.arguments)])
    assert (score.exact, score.tool) == (False, False)
    assert (score.true_positives, score.false_positives, score.false_negatives) == (0, 2, 2)


def test_no_call_at_all_misses_every_parameter() -> None:
    score = tool_calls.score([CALL], [])
    assert (score.true_positives, score.false_positives, score.false_negatives) == (0, 0, 2)


def test_parallel_calls_may_come_in_any_order() -> None:
    other = Call("run", {"frames": 60})
    assert tool_calls.score([CALL, other], [other, CALL]).exact


def test_one_call_given_twice_is_not_exact() -> None:
    score = tool_calls.score([CALL], [CALL, CALL])
    assert (score.exact, score.tool, score.false_positives) == (False, False, 2)


@pytest.mark.parametrize(
    ("expected", "given", "equal"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1}, True),
    ],
)
def test_values_are_compared_as_json(expected: object, given: object, equal: bool) -> None:
    assert tool_calls.score([Call("f", {"x": expected})], [Call("f", {"x": given})]).exact is equal
