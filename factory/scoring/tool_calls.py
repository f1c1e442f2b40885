"""Tool calls in generated text: read them in any common syntax, compare them with the expected.

A parser is tried only where its marker occurs, so that ordinary text is never taken for a call.
Every evaluation first proves that the parsers read back the expected calls of its own template
(`factory.inference.turns`), so that a syntax unknown here is an error and not a score of zero.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DECODER = json.JSONDecoder()
TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|$)", re.DOTALL)
FENCED = re.compile(r"```(?:json|tool_call|tool_code)\s*\n(.*?)(?:```|$)", re.DOTALL)
FUNCTION_XML = re.compile(r"<function=([^>\s]+)>(.*?)</function>", re.DOTALL)
PARAMETER_XML = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
MISTRAL = "[TOOL_CALLS]"
MISTRAL_CALL = re.compile(r"\s*([\w.\-]+)\s*(?:\[ARGS\])?\s*(?=\{)")
LLAMA = "<|python_tag|>"


@dataclass(frozen=True)
class Call:
    """One call: the tool's name and its arguments."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """What generated text asks for. `broken`: it starts a call that cannot be read."""

    calls: list[Call] = field(default_factory=list)
    broken: bool = False


@dataclass(frozen=True)
class CallScore:
    """One turn's calls against the expected ones; the three counts are of parameters."""

    exact: bool
    tool: bool
    true_positives: int
    false_positives: int
    false_negatives: int


def read(text: str) -> Reading:
    """Find the tool calls in `text`."""
    if "<tool_call>" in text:
        return _gather(TAGGED.findall(text), _tagged_call)
    if MISTRAL in text:
        return _mistral(text.split(MISTRAL, 1)[1])
    if LLAMA in text:
        return _gather([text.split(LLAMA, 1)[1]], _json_calls)
    if text.lstrip().startswith(("{", "[{")):
        found = _json_calls(text)
        return Reading(found or [])
    if fenced := FENCED.findall(text):
        found = [call for block in fenced for call in _json_calls(block) or []]
        return Reading(found)
    return Reading()


def _gather(blocks: list[str], reader: Any) -> Reading:
    calls: list[Call] = []
    broken = False
    for block in blocks:
        found = reader(block)
        broken = broken or found is None
        calls += found or []
    return Reading(calls, broken)


def _tagged_call(block: str) -> list[Call] | None:
    if block.startswith("<function="):
        return list(_xml_calls(block)) or None
    return _json_calls(block)


def _xml_calls(block: str) -> Iterator[Call]:
    """Qwen3-Coder's syntax: `<function=NAME><parameter=KEY>VALUE</parameter></function>`."""
    for name, body in FUNCTION_XML.findall(block):
        yield Call(name, {key: _value(text) for key, text in PARAMETER_XML.findall(body)})


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _mistral(text: str) -> Reading:
    """`[TOOL_CALLS][{...}, ...]` or `[TOOL_CALLS]name{...}`, possibly repeated."""
    if not (match := MISTRAL_CALL.match(text)):
        return _gather([text], _json_calls)
    calls: list[Call] = []
    for part in text.split(MISTRAL):
        match = MISTRAL_CALL.match(part)
        arguments = _first_json(part[match.end() :]) if match else None
        if match is None or not isinstance(arguments, dict):
            return Reading(calls, broken=True)
        calls.append(Call(match.group(1), arguments))
    return Reading(calls)


def _json_calls(text: str) -> list[Call] | None:
    """Calls written as one JSON object or a list of them; None if it is neither."""
    value = _first_json(text)
    objects = value if isinstance(value, list) else [value]
    calls = [_call(item) for item in objects]
    return None if not calls or None in calls else [call for call in calls if call]


def _first_json(text: str) -> Any:
    try:
        return DECODER.raw_decode(text.lstrip())[0]
    except (ValueError, RecursionError):
        return None


def _call(value: Any) -> Call | None:
    if not isinstance(value, dict):
        return None
    inner = value.get("function")
    if isinstance(inner, dict):
        value = inner
    name = value.get("name")
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _value(arguments)
    if not isinstance(name, str) or not isinstance(arguments, dict):
        return None
    return Call(name, arguments)


def expected_calls(message: dict[str, Any]) -> list[Call]:
    """The calls of a canonical assistant message."""
    return [
        Call(call["function"]["name"], call["function"]["arguments"])
        for call in message.get("tool_calls") or []
    ]


def score(expected: list[Call], found: list[Call]) -> CallScore:
    """Compare calls; parallel calls may come in any order.

    Parameters are counted as (name, value) pairs of calls to the same tool: a wrong tool makes
    all its parameters wrong and all the expected ones missing (micro-averaged over the turns).
    """
    wanted, given = _pairs(expected), _pairs(found)
    hits = sum(min(count, given.get(pair, 0)) for pair, count in wanted.items())
    return CallScore(
        exact=sorted(map(_canonical, expected)) == sorted(map(_canonical, found)),
        tool=sorted(call.name for call in expected) == sorted(call.name for call in found),
        true_positives=hits,
        false_positives=sum(given.values()) - hits,
        false_negatives=sum(wanted.values()) - hits,
    )


def _pairs(calls: list[Call]) -> dict[tuple[str, str, str], int]:
    counted: dict[tuple[str, str, str], int] = {}
    for call in calls:
        for key, value in call.arguments.items():
            pair = (call.name, key, _canonical_value(value))
            counted[pair] = counted.get(pair, 0) + 1
    return counted


def _canonical(call: Call) -> str:
    return f"{call.name} {_canonical_value(call.arguments)}"


def _canonical_value(value: Any) -> str:
    """JSON text by which values are compared: 1 equals 1.0, but neither "1" nor true."""
    return json.dumps(_plain_numbers(value), sort_keys=True, ensure_ascii=False)


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    return value
