"""The part of Go's text/template that an Ollama chat template needs.

Ollama renders prompts with a Go template. This renderer lets an export prove that such a template
gives the text the model was trained on, without Go or Ollama on the machine. It has `if`, `else
if`, `range`, variables, field paths, the functions and, or, not, eq, ne, len, slice and json,
and both trim markers; anything else raises GoTemplateError, so nothing is rendered by guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACTION = re.compile(r"\{\{(-\s)?\s*(.*?)\s*(\s-)?\}\}", re.DOTALL)
PATH = r"(?:\.[A-Za-z_]\w*)"
TOKEN = re.compile(
    rf'\s*("(?:[^"\\]|\\.)*"|\d+|:=|=|[(),]|\$(?:[A-Za-z_]\w*)?{PATH}*|{PATH}+|\.|[A-Za-z_]\w*)'
)


class GoTemplateError(ValueError):
    """The template uses what this renderer does not have, or is not well-formed."""


@dataclass(frozen=True)
class Text:
    """Literal text."""

    value: str


@dataclass(frozen=True)
class Output:
    """`{{ expression }}`."""

    tokens: tuple[str, ...]


@dataclass(frozen=True)
class Assign:
    """`{{ $name := expression }}` or, without `declare`, `{{ $name = expression }}`."""

    name: str
    tokens: tuple[str, ...]
    declare: bool


@dataclass(frozen=True)
class If:
    """Conditions with their bodies; an `else` has the condition `true`."""

    branches: tuple[tuple[tuple[str, ...], tuple[Node, ...]], ...]


@dataclass(frozen=True)
class Range:
    """`{{ range $index, $element := expression }}`; both names may be missing."""

    index: str | None
    element: str | None
    tokens: tuple[str, ...]
    body: tuple[Node, ...]


Node = Text | Output | Assign | If | Range


def render(template: str, data: Mapping[str, Any]) -> str:
    """Execute `template` on `data`; a missing field is an error, as for a Go struct."""
    parts = list(_split(template))
    nodes, rest, _ = _parse(parts, 0)
    if rest != len(parts):
        raise GoTemplateError("{{ end }} without a beginning")
    return _Run(data).execute(nodes, data, [{}])


def _split(template: str) -> Iterator[Text | tuple[str, ...]]:
    """Cut into text and the tokens of actions, trimming where a marker says so."""
    position, trim_next = 0, False
    for match in ACTION.finditer(template):
        text = template[position : match.start()]
        text = text.lstrip() if trim_next else text
        yield Text(text.rstrip() if match.group(1) else text)
        yield tuple(_tokens(match.group(2)))
        position, trim_next = match.end(), bool(match.group(3))
    rest = template[position:]
    yield Text(rest.lstrip() if trim_next else rest)


def _tokens(action: str) -> Iterator[str]:
    position = 0
    while position < len(action):
        match = TOKEN.match(action, position)
        if match is None:
            raise GoTemplateError(f"not understood: {action[position:]!r}")
        yield match.group(1)
        position = match.end()


def _parse(
    parts: Sequence[Text | tuple[str, ...]], position: int
) -> tuple[tuple[Node, ...], int, tuple[str, ...]]:
    """Parse up to an `else` or `end`; return the nodes, where that stands, and its tokens."""
    nodes: list[Node] = []
    while position < len(parts):
        part = parts[position]
        if isinstance(part, Text):
            nodes.append(part)
            position += 1
        elif part[:1] in (("else",), ("end",)):
            return tuple(nodes), position, part
        elif part[:1] == ("if",):
            node, position = _parse_if(parts, position)
            nodes.append(node)
        elif part[:1] == ("range",):
            node, position = _parse_range(parts, position)
            nodes.append(node)
        else:
            nodes.append(_simple(part))
            position += 1
    return tuple(nodes), position, ()


def _simple(tokens: tuple[str, ...]) -> Node:
    if len(tokens) > 2 and tokens[0].startswith("$") and tokens[1] in (":=", "="):
        return Assign(tokens[0], tokens[2:], declare=tokens[1] == ":=")
    return Output(tokens)


def _parse_if(parts: Sequence[Text | tuple[str, ...]], position: int) -> tuple[Node, int]:
    branches = []
    condition = _action(parts[position])[1:]
    while True:
        body, position, closing = _parse(parts, position + 1)
        branches.append((condition, body))
        if closing == ("end",):
            return If(tuple(branches)), position + 1
        if closing[:2] == ("else", "if"):
            condition = closing[2:]
        elif closing == ("else",):
            condition = ("true",)
        else:
            raise GoTemplateError("{{ if }} without {{ end }}")


def _parse_range(parts: Sequence[Text | tuple[str, ...]], position: int) -> tuple[Node, int]:
    tokens = _action(parts[position])[1:]
    index = element = None
    if ":=" in tokens:
        names = [token for token in tokens[: tokens.index(":=")] if token != ","]
        tokens = tokens[tokens.index(":=") + 1 :]
        index, element = names if len(names) == 2 else (None, names[0])
    body, position, closing = _parse(parts, position + 1)
    if closing != ("end",):
        raise GoTemplateError("{{ range }} without {{ end }}")
    return Range(index, element, tokens, body), position + 1


def _action(part: Text | tuple[str, ...]) -> tuple[str, ...]:
    assert not isinstance(part, Text)
    return part


class _Run:
    """One execution; `$` is the data it started with."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def execute(self, nodes: Sequence[Node], dot: Any, scopes: list[dict[str, Any]]) -> str:
        out = []
        for node in nodes:
            if isinstance(node, Text):
                out.append(node.value)
            elif isinstance(node, Output):
                out.append(_text(self.evaluate(node.tokens, dot, scopes)))
            elif isinstance(node, Assign):
                self._assign(node, dot, scopes)
            elif isinstance(node, If):
                out.append(self._if(node, dot, scopes))
            else:
                out.append(self._range(node, dot, scopes))
        return "".join(out)

    def _assign(self, node: Assign, dot: Any, scopes: list[dict[str, Any]]) -> None:
        value = self.evaluate(node.tokens, dot, scopes)
        scope = scopes[-1] if node.declare else _scope_of(node.name, scopes)
        scope[node.name] = value

    def _if(self, node: If, dot: Any, scopes: list[dict[str, Any]]) -> str:
        for condition, body in node.branches:
            if self.evaluate(condition, dot, scopes):
                return self.execute(body, dot, [*scopes, {}])
        return ""

    def _range(self, node: Range, dot: Any, scopes: list[dict[str, Any]]) -> str:
        out = []
        for index, element in enumerate(self.evaluate(node.tokens, dot, scopes) or []):
            names = {node.index: index, node.element: element}
            scope = {name: value for name, value in names.items() if name is not None}
            out.append(self.execute(node.body, element, [*scopes, scope]))
        return "".join(out)

    def evaluate(self, tokens: Sequence[str], dot: Any, scopes: list[dict[str, Any]]) -> Any:
        """Value of one expression: an operand, or a function with its operands."""
        rest = list(tokens)
        name = rest.pop(0) if rest and rest[0] in FUNCTIONS else None
        operands = []
        while rest:
            operands.append(self._operand(rest, dot, scopes))
        if name is not None:
            return FUNCTIONS[name](*operands)
        if len(operands) != 1:
            raise GoTemplateError(f"not understood: {' '.join(tokens)}")
        return operands[0]

    def _operand(self, rest: list[str], dot: Any, scopes: list[dict[str, Any]]) -> Any:
        token = rest.pop(0)
        if token == "(":
            return self.evaluate(_until_closing(rest), dot, scopes)
        if token.startswith("$"):
            name, *path = token.split(".")
            value = self.data if name == "$" else _scope_of(name, scopes)[name]
            return _field(value, path)
        if token.startswith("."):
            return _field(dot, [part for part in token.split(".") if part])
        return _literal(token)


def _until_closing(rest: list[str]) -> list[str]:
    """Take the tokens up to the parenthesis that closes the one just opened."""
    depth = 1
    inner: list[str] = []
    while rest:
        token = rest.pop(0)
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth == 0:
            return inner
        inner.append(token)
    raise GoTemplateError("parenthesis without its end")


def _scope_of(name: str, scopes: list[dict[str, Any]]) -> dict[str, Any]:
    for scope in reversed(scopes):
        if name in scope:
            return scope
    raise GoTemplateError(f"undefined variable {name}")


def _field(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            raise GoTemplateError(f"no field .{name}")
        value = value[name]
    return value


def _literal(token: str) -> Any:
    if token.startswith('"') or token.isdigit() or token in ("true", "false"):
        return json.loads(token)
    raise GoTemplateError(f"unknown function {token}")


def _text(value: Any) -> str:
    """As Go prints it; Ollama's tool types print themselves as compact JSON."""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _and(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


def _or(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


FUNCTIONS: dict[str, Any] = {
    "and": _and,
    "or": _or,
    "not": lambda value: not value,
    "eq": lambda first, *others: first in others,
    "ne": lambda first, second: first != second,
    "len": len,
    "slice": lambda value, start: value[start:],
    "json": _json,
}
