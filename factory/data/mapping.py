"""Columns and role names of a source in our words: `dataset.sources[].columns` and `.roles`.

A mapped row is renamed to a row of the format that its columns make up, and read as such. Sources
without a mapping never come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

from factory.data.formats import alpaca, chatml, openai, pairs, preference, sharegpt
from factory.data.rejection import Rejected, excerpt
from factory.errors import ConfigError, did_you_mean

Row = dict[str, Any]
RowColumn = Literal[
    "messages",
    "system",
    "tools",
    "user",
    "assistant",
    "instruction",
    "input",
    "output",
    "history",
    "chosen",
    "rejected",
    "text",
    "id",
    "group",
    "split",
    "tags",
    "quality_score",
    "domain",
]
TurnColumn = Literal["role", "content", "tool_calls", "train"]
# Of a turn, or of the row where that has one answer.
Column = Literal[RowColumn, TurnColumn, "reasoning_content"]
RoleName = Literal["system", "user", "assistant", "tool", "function_call"]

_TURN: frozenset[str] = frozenset(get_args(TurnColumn))
_SINGLE = frozenset((alpaca.NAME, pairs.NAME))
# The field that a column becomes where that is another word.
_FIELDS = {"user": "prompt", "assistant": "completion"}
# A column that settles which format the renamed rows have.
_TELLING = {
    "chosen": preference.NAME,
    "text": chatml.NAME,
    "instruction": alpaca.NAME,
    "output": alpaca.NAME,
    "user": pairs.NAME,
}
# What a row of a settled format keeps of its other fields.
_KEPT = frozenset(
    (
        *("id", "group", "split", "tags", "quality_score", "domain"),
        *("system", "system_prompt", "tools", "instruction", "input", "output", "history"),
        "reasoning_content",
    )
)
_TURNS = ("messages", "conversations", "conversation")
_CALLING = "function_call"


class ColumnMapping(NamedTuple):
    """Where a source keeps what we call otherwise.

    columns: our name -> the source's; None leaves a field of our own name unread
    roles:   the source's role name -> ours
    format:  the format of the renamed rows; None where their fields decide
    where:   the field of the configuration, for errors
    """

    columns: Mapping[str, str | None]
    roles: Mapping[str, str]
    format: str | None
    where: str = ""

    def row(self, row: Row) -> Row:
        """The row under our names; raise Rejected where a turn lacks its role."""
        fields = {_FIELDS.get(n, n): c for n, c in self.columns.items() if not self._of_turn(n)}
        unread = {*fields, *fields.values(), *(_TURNS if "messages" in fields else ())}
        found = {n: value for n, value in row.items() if n not in unread and self._keeps(n)}
        found |= {n: row[c] for n, c in fields.items() if c is not None and c in row}
        return self._with_turns(found) if self._of_turns() else found

    def missing(self, rows: Iterable[Row]) -> tuple[list[str], list[str]]:
        """The columns that none of `rows` has, and all columns that were seen."""
        wanted = {column for column in self.columns.values() if column is not None}
        seen: dict[str, None] = {}
        for row in rows:
            seen.update(dict.fromkeys(_names(row)))
            if wanted <= seen.keys():
                break
        return sorted(wanted - seen.keys()), list(seen)

    def _keeps(self, name: str) -> bool:
        """Whether a field that is not mapped stays: other conversations of the row do not."""
        return self.format is None or name in _KEPT or (self._of_turns() and name in _TURNS)

    def _of_turn(self, name: str) -> bool:
        """Whether a column is one of turns, not of rows."""
        return name in _TURN or (name == "reasoning_content" and self.format not in _SINGLE)

    def _of_turns(self) -> bool:
        return bool(self.roles) or any(map(self._of_turn, self.columns))

    def _with_turns(self, row: Row) -> Row:
        """The row with its turns as OpenAI messages, and its system text among them."""
        found = {name: value for name, value in row.items() if name not in _TURNS}
        turns = next((row[name] for name in _TURNS if name in row), None)
        if type(turns) is list:
            found["messages"] = [self._turn(turn) for turn in turns]
            system = alpaca.text(found, "system")
            if system.strip() and not _opens_with_system(found["messages"]):
                found["messages"].insert(0, {"role": "system", "content": system})
            found.pop("system", None)
        for side in ("chosen", "rejected"):
            if type(found.get(side)) is dict:
                found[side] = self._turn(found[side])
            elif type(found.get(side)) is list:
                found[side] = [self._turn(turn) for turn in found[side]]
        return found

    def _turn(self, raw: Any) -> Any:
        """One turn with our names; other fields of it stay."""
        if type(raw) is not dict:
            return raw
        role, content = self._column(raw, "role", "from"), self._column(raw, "content", "value")
        if role not in raw:
            raise Rejected("bad_message", f"no {role!r}: {excerpt(raw)}")
        named = {
            name: column for name, column in self.columns.items() if self._of_turn(name) and column
        } | {"role": role, "content": content}
        turn = {k: v for k, v in raw.items() if k not in named.values() and k not in named}
        turn |= {name: raw[column] for name, column in named.items() if column in raw}
        turn["role"] = self._role(turn["role"])
        if turn["role"] == _CALLING:
            turn |= {"role": "assistant", "content": None, "tool_calls": turn["content"]}
        return turn

    def _column(self, turn: Row, name: str, other: str) -> str:
        """Where a turn keeps `name`: as configured, or under one of the two usual names."""
        return self.columns.get(name) or (other if name not in turn and other in turn else name)

    def _role(self, name: Any) -> Any:
        """Our role for the source's; a name that nobody knows stays, and is rejected."""
        if type(name) is not str:
            return name
        if name in self.roles:
            return self.roles[name]
        if name.lower() in sharegpt.CALLING:
            return _CALLING
        return sharegpt.ROLE_NAMES.get(name.lower(), name)


def of(
    columns: Mapping[Any, str | None],
    roles: Mapping[Any, list[str]],
    format: str | None,
    where: str = "",
) -> ColumnMapping | None:
    """The mapping that a source asks for, None if it asks for none.

    Raises ValueError when its columns contradict each other or the format.
    """
    if not columns and not roles:
        return None
    given = [name for name, column in columns.items() if column is not None]
    if ("user" in given) != ("assistant" in given) and "chosen" not in given:
        raise ValueError("columns.user and columns.assistant go together")
    told = {_TELLING[name]: name for name in given if name in _TELLING}
    if "messages" in given and told.keys() - {preference.NAME}:
        raise ValueError(f"columns.messages does not go with columns.{next(iter(told.values()))}")
    if preference.NAME in told:  # its prompt is a user's text, an instruction or messages
        told = {preference.NAME: "chosen"}
    if len(told) > 1:
        names = " and ".join(f"columns.{name}" for name in told.values())
        raise ValueError(f"{names} belong to different formats: {', '.join(told)}")
    found = next(iter(told), None)
    alone = next((name for name in given if name in _TURN), "roles" if roles else None)
    if found in (alpaca.NAME, pairs.NAME, chatml.NAME) and alone:
        raise ValueError(f"{_told(alone)} goes with turns, not with columns.{told[found]}")
    if found is None and (alone or "reasoning_content" in given):
        found, told = openai.NAME, {openai.NAME: alone or "reasoning_content"}
    same = (sharegpt.NAME,) if found == openai.NAME else ()
    if format not in (None, "auto", found, *same) and found is not None:
        raise ValueError(f"{_told(told[found])} is for format {found}, not {format}")
    by_name = {name: ours for ours, names in roles.items() for name in names}
    return ColumnMapping(columns, by_name, found, where)


def _told(name: str) -> str:
    return name if name == "roles" else f"columns.{name}"


def _names(row: Row) -> Iterator[str]:
    """The fields of a row, and those of the turns in it."""
    yield from row
    for value in row.values():
        for turn in value if type(value) is list else (value,):
            if type(turn) is dict:
                yield from turn


def _opens_with_system(turns: list[Any]) -> bool:
    return bool(turns) and type(turns[0]) is dict and turns[0].get("role") == "system"


def require_columns(mapping: ColumnMapping, source: str, rows: Iterable[Row]) -> None:
    """ConfigError when the mapping names a column that no row of the source has."""
    absent, there = mapping.missing(rows)
    if not absent or not there:  # a source without rows has an error of its own
        return
    ours = {column: name for name, column in mapping.columns.items()}
    wrong = [f"{c!r} (columns.{ours[c]}{did_you_mean(c, there)})" for c in absent]
    raise ConfigError(
        f"no row of {source} has {', '.join(wrong)}",
        where=mapping.where,
        hint=f"the columns there: {', '.join(there)}",
    )
