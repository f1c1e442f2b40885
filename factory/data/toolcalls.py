"""Tool calls and tool declarations of every source, in OpenAI's form."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson

from factory.data.conversation import Function, Message, ToolCall, tool_calls
from factory.data.rejection import Rejected, excerpt

LARGEST_EXACT = 2**63  # beyond it orjson reads an integer as a float and digits are lost


def read_calls(raw: Any) -> list[ToolCall]:
    """Read one call or a list of them, given as objects or as their JSON text."""
    value = _from_text(raw, "bad_tool_call")
    calls = value if type(value) is list else [value]
    return [_call(call) for call in calls]


def _call(raw: Any) -> ToolCall:
    if type(raw) is not dict:
        raise Rejected("bad_tool_call", excerpt(raw))
    function = raw.get("function", raw)
    name = function.get("name") if type(function) is dict else None
    if type(name) is not str or not name.strip():
        raise Rejected("bad_tool_call", f"no name: {excerpt(raw)}")
    call: ToolCall = {
        "type": "function",
        "function": {"name": name, "arguments": _arguments(function)},
    }
    if type(raw.get("id")) is str:
        call["id"] = raw["id"]
    return call


def _arguments(function: dict[str, Any]) -> dict[str, Any]:
    """The arguments as an object; a call without any has an empty one."""
    found = next((function[n] for n in ("arguments", "parameters", "input") if n in function), None)
    if found is None or found == "":
        return {}
    value = _from_text(found, "bad_tool_call")
    if type(value) is not dict:
        raise Rejected("bad_tool_call", f"arguments: {excerpt(value)}")
    _check_numbers(value)
    return value


def _check_numbers(value: Any) -> None:
    """Refuse an integer too long to have been read exactly."""
    if type(value) is float and abs(value) >= LARGEST_EXACT and value.is_integer():
        raise Rejected("bad_tool_call", f"{value!r} is too large to be kept exactly")
    for child in value.values() if type(value) is dict else value if type(value) is list else ():
        _check_numbers(child)


def _from_text(raw: Any, code: str) -> Any:
    """Parse JSON text; anything else is returned as it is."""
    if type(raw) is not str:
        return raw
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Rejected(code, f"{error}: {excerpt(raw)}") from None


def read_tools(raw: Any) -> list[dict[str, Any]]:
    """Read tool declarations (a list, or its JSON text) into OpenAI function schemas."""
    if not raw:
        return []
    try:
        text = raw.encode() if type(raw) is str else orjson.dumps(raw)
    except (TypeError, UnicodeEncodeError) as error:
        raise Rejected("bad_tools", str(error)) from None
    return _read_tools(text)


# Rows of one data set share a few lists of tools: each is read once. Callers do not modify it.
@lru_cache(maxsize=1024)
def _read_tools(text: bytes) -> list[dict[str, Any]]:
    if not text.strip():
        return []
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Rejected("bad_tools", f"{error}: {excerpt(text.decode())}") from None
    if type(value) is dict:
        value = [value]
    if type(value) is not list:
        raise Rejected("bad_tools", excerpt(value))
    return [_tool(tool) for tool in value]


def _tool(raw: Any) -> dict[str, Any]:
    """One declaration as `{"type": "function", "function": {"name", "parameters", ...}}`."""
    if type(raw) is not dict:
        raise Rejected("bad_tools", excerpt(raw))
    function = dict(raw["function"]) if type(raw.get("function")) is dict else dict(raw)
    if "input_schema" in function:  # Anthropic's name for it
        function["parameters"] = function.pop("input_schema")
    if type(function.get("name")) is not str or not function["name"].strip():
        raise Rejected("bad_tools", f"no name: {excerpt(raw)}")
    function.setdefault("parameters", {"type": "object", "properties": {}})
    if type(function["parameters"]) is not dict:
        raise Rejected("bad_tools", f"parameters of {function['name']}: not an object")
    function.pop("type", None)
    return {"type": "function", "function": function}


def findings(messages: list[Message], tools: list[dict[str, Any]] | None) -> tuple[str, ...]:
    """Codes of what is odd about a row's calls without making it useless.

    calls_without_tools: calls are made, no tool is declared
    undeclared_tool:     a tool is called that is not among the declared ones
    invalid_arguments:   arguments break the schema of their tool
    invalid_schema:      the parameters of a called tool are no JSON Schema
    """
    calls = list(tool_calls(messages))
    if not calls:
        return ()
    if not tools:
        return ("calls_without_tools",)
    parameters = {tool["function"]["name"]: tool["function"]["parameters"] for tool in tools}
    found = {_finding(call, parameters) for call in calls}
    return tuple(sorted(code for code in found if code))


def _finding(call: Function, parameters: dict[str, Any]) -> str | None:
    if call["name"] not in parameters:
        return "undeclared_tool"
    validator = _validator(orjson.dumps(parameters[call["name"]]))
    if validator is None:
        return "invalid_schema"
    return None if validator.is_valid(call["arguments"]) else "invalid_arguments"


@lru_cache(maxsize=1024)
def _validator(parameters: bytes) -> Any:
    """What judges the arguments of one tool; None if its parameters are no JSON Schema."""
    from jsonschema import Draft202012Validator, SchemaError

    schema = orjson.loads(parameters)
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return None
    return Draft202012Validator(schema)
