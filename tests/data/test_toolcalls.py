"""What is odd about tool calls is found, each kind under its own code."""

from __future__ import annotations

from typing import Any

import pytest

from factory.data import toolcalls

LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"at": {"type": "string"}},
            "required": ["at"],
        },
    },
}


def findings(name: str, arguments: dict[str, Any], tools: list[dict[str, Any]] | None) -> Any:
    calls = toolcalls.read_calls({"name": name, "arguments": arguments})
    turns: Any = [{"role": "assistant", "content": "", "tool_calls": calls}]
    return toolcalls.findings(turns, tools)


@pytest.mark.parametrize(
    ("name", "arguments", "tools", "expected"),
    [
        ("look", {"at": "x"}, [LOOK], ()),
        ("look", {"at": 1}, [LOOK], ("invalid_arguments",)),
        ("look", {}, [LOOK], ("invalid_arguments",)),
        ("leap", {}, [LOOK], ("undeclared_tool",)),
        ("look", {"at": "x"}, None, ("calls_without_tools",)),
    ],
)
def test_finding(name: str, arguments: dict[str, Any], tools: Any, expected: Any) -> None:
    assert findings(name, arguments, tools) == expected


def test_parameters_that_are_no_schema() -> None:
    tools = toolcalls.read_tools([{"name": "look", "parameters": {"type": "dict"}}])
    assert findings("look", {}, tools) == ("invalid_schema",)


@pytest.mark.parametrize(
    "raw",
    [
        '[{"name": "look", "parameters": {}}]',
        [{"type": "function", "function": {"name": "look", "parameters": {}}}],
        [{"name": "look", "input_schema": {}}],
        {"name": "look", "parameters": {}},
    ],
)
def test_every_way_to_declare_a_tool(raw: Any) -> None:
    assert toolcalls.read_tools(raw) == [
        {"type": "function", "function": {"name": "look", "parameters": {}}}
    ]
