"""The work on one block of rows: parse, canonicalise, serialise, index."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
import orjson
from xxhash import xxh3_64_digest, xxh3_128_digest

from factory.data import toolcalls
from factory.data.bytecount import count_byte
from factory.data.canonical import (
    CONTENT,
    NO_OPTIONS,
    NO_SPLIT,
    Options,
    PlainShape,
    Profile,
    convert,
    options,
    plain_shape,
    profile_of,
    user_text,
)
from factory.data.containers import Block
from factory.data.formats import PLAIN, READERS
from factory.data.formats.plain import PlainNames
from factory.data.index import RECORD
from factory.data.mapping import ColumnMapping
from factory.data.markup import NO_TOKENS, SpecialTokens, made_plain, occurs
from factory.data.normalise import fold
from factory.data.parse import check_duplicate_keys, has_escaped_colon
from factory.data.reasoning import FIELD, KEEP, START, arranged
from factory.data.rejection import Rejected
from factory.data.selection import EVERYTHING, Selection, selected

HEAD = b'{"conversations":'
Reject = tuple[int, str, str]  # line number, reason code, detail


class Origin(NamedTuple):
    """The file a block is from, as its rows name it, the format of its rows, and what to keep.

    `reasoning` is where `factory.data.reasoning` puts thoughts.
    """

    source: str
    format: str
    selection: Selection = EVERYTHING
    special_tokens: SpecialTokens = NO_TOKENS
    mapping: ColumnMapping | None = None
    reasoning: str = KEEP

    def marks(self) -> tuple[str, ...]:
        """What no row may have in its text that goes through untouched."""
        return (*self.special_tokens.tokens, *((START,) if self.reasoning == FIELD else ()))


class Formatted(NamedTuple):
    """What became of a block's rows. Profile numbers count from zero in each block."""

    lines: bytes
    records: np.ndarray
    profiles: list[Profile]
    rejects: list[Reject]


def format_block(block: Block, origin: Origin) -> Formatted:
    """Return the canonical lines of a block, their index records, and its rejects."""
    rows = _Rows(block, origin)
    balance = rows.read(check_each=False)
    text, lines = block.text(), rows.lines()
    keys_lost = bool(text) and (
        count_byte(text, b":") != count_byte(lines, b":") + balance or has_escaped_colon(text)
    )
    if keys_lost or occurs(lines, origin.marks()):
        rows = _Rows(block, origin)
        rows.read(check_each=True)
        lines = rows.lines()
    return Formatted(lines, rows.records(), list(rows.profiles), rows.rejects)


class _Rows:
    """The rows of one block by column, which is how the index wants them."""

    def __init__(self, block: Block, origin: Origin) -> None:
        self._block = block
        name = orjson.dumps(origin.source)
        self._read = selected(READERS[origin.format], origin.selection)
        self._mapping = origin.mapping
        self._plain = None if self._mapping else PLAIN.get(self._read)
        self._special_tokens = origin.special_tokens
        self._marks = origin.marks()
        self._reasoning = origin.reasoning
        self._id = b',"id":%b%b"' % (name[:-1].replace(b"%", b"%%"), block.place())
        self._source = b',"source":%b}\n' % name
        self._id_and_source = self._id + self._source.replace(b"%", b"%%")
        self._colons = -(self._id_and_source % 0).count(b":")
        self._shapes: dict[tuple[str, ...], tuple[PlainShape, int]] = {}
        self.rejects: list[Reject] = []
        self.profiles: dict[Profile, int] = {}
        self._turns: list[bytes] = []
        self._ends: list[bytes] = []
        self._users: list[str] = []
        self._row_numbers: list[int] = []
        self._profiles: list[int] = []
        # What few rows have, by position.
        self._tools: dict[int, bytes] = {}
        self._groups: dict[int, int] = {}
        self._ids: dict[int, int] = {}

    def read(self, *, check_each: bool) -> int:
        """Prepare every row of the block; return the colons that were read and not written.

        Unless `check_each`, rows whose turns go through untouched are not looked at for special
        tokens and thoughts, and not for keys named twice: their bytes differ from what was read in
        other fields only, a colon each, so that a key lost in any of them makes the colons of the
        whole block not add up.
        """
        balance = 0
        for number, text, raw in self._block.rows():
            try:
                if isinstance(raw, Rejected):
                    raise raw
                if text and check_each:
                    check_duplicate_keys(text, raw)
                marked = check_each and self._may_have_marks(text)
                colons = None if marked else self._add_plain(raw, number)
                if colons is None:
                    if text and not check_each:
                        check_duplicate_keys(text, raw)
                    colons = text.count(b":") - self._add(raw, number)
                balance += colons
            except Rejected as rejected:
                line = self._block.line(number)
                self.rejects.append((line, rejected.code, rejected.detail))
                balance += text.count(b":")
        return balance

    def _may_have_marks(self, text: bytes) -> bool:
        """Whether a row may have a mark: in plain sight, as an escape, or without JSON text."""
        return not text or b"\\u" in text or occurs(text, self._marks)

    def _add_plain(self, raw: dict[str, Any], number: int) -> int | None:
        """Add a row of mere texts; return the colons that were read around its turns and not
        written, or None if it is another kind of row.

        What is done for each turn runs in C: this is the price of the commonest kind of row.
        """
        names = self._plain
        if names is None or (len(raw) > 1 and any(map(raw.get, names.more))):
            return None
        try:
            turns = raw[names.turns]
            roles = tuple(map(names.role, turns))
            texts = list(map(names.text, turns))
            if max(map(len, turns), default=0) != 2 or not all(map(str.strip, texts)):
                return None
            known = self._shapes.get(roles) or self._shape(names, roles)
        except (KeyError, TypeError):
            return None
        if known is None:
            return None
        (shape, pattern), profile = known
        if len(raw) == 1:
            end, colons = self._id_and_source % number, self._colons
        else:
            extra = options(raw)
            end = self._end(extra, number)
            colons = len(raw) - 1 - end.count(b":")
            if extra.split != NO_SPLIT:
                profile = self._number(shape.plain._replace(split=extra.split))
        self._turns.append(
            pattern % tuple(map(orjson.dumps, texts)) if pattern else orjson.dumps(turns)
        )
        self._ends.append(end)
        self._users.append(user_text(shape, texts))
        self._row_numbers.append(number)
        self._profiles.append(profile)
        return colons

    def _shape(self, names: PlainNames, roles: tuple[str, ...]) -> tuple[PlainShape, int] | None:
        """The shape of turns of mere texts, with the number of their profile in this block."""
        plain = plain_shape(names, roles)
        if plain is None:
            return None
        self._shapes[roles] = plain, self._number(plain.shape.plain)
        return self._shapes[roles]

    def _number(self, profile: Profile) -> int:
        return self.profiles.setdefault(profile, len(self.profiles))

    def _add(self, raw: dict[str, Any], number: int) -> int:
        """Add a row that has to be converted; return the colons written."""
        if self._mapping is not None:
            raw = self._mapping.row(raw)
        messages, tools, shape = convert(raw, self._read)
        messages = arranged(messages, self._reasoning)
        messages, findings = made_plain(messages, self._special_tokens)
        findings += toolcalls.findings(messages, tools)
        extra = options(raw) if len(raw) > 1 else NO_OPTIONS
        end = self._end(extra, number)
        if tools is not None:
            self._tools[len(self._turns)] = declared = _json(tools)
            end = b',"tools":' + declared + end
        profile = profile_of(shape, messages, tools, extra.split, findings)
        turns = _json(messages)
        self._turns.append(turns)
        self._ends.append(end)
        self._users.append(user_text(shape, list(map(CONTENT, messages))))
        self._row_numbers.append(number)
        self._profiles.append(self._number(profile))
        return HEAD.count(b":") + turns.count(b":") + end.count(b":")

    def _end(self, extra: Options, number: int) -> bytes:
        """The fields behind a row's turns and tools; keys of id and group are noted."""
        position = len(self._turns)
        if extra.group_key:
            self._groups[position] = extra.group_key
        if extra.id_key:
            self._ids[position] = extra.id_key
            return extra.json + self._source
        return self._id % number + extra.json + self._source

    def lines(self) -> bytes:
        """The canonical lines."""
        return b"".join(chain.from_iterable(zip(repeat(HEAD), self._turns, self._ends)))

    def records(self) -> np.ndarray:
        """The index records of the rows."""
        contents = self._turns.copy()
        for position, tools in self._tools.items():
            contents[position] += tools
        found = np.zeros(len(self._turns), RECORD)
        content = np.frombuffer(b"".join(map(xxh3_128_digest, contents)), "<u8").reshape(-1, 2)
        found["content"], found["content_low"] = content.T
        user = b"".join(map(xxh3_64_digest, map(fold, self._users)))
        found["user"] = np.frombuffer(user, "<u8")
        found["profile"] = self._profiles
        found["line"] = list(map(self._block.line, self._row_numbers))
        found["size"] = len(HEAD)
        for parts in (self._turns, self._ends):
            found["size"] += np.fromiter(map(len, parts), "<u4", len(parts))
        for name, keys in (("group", self._groups), ("id", self._ids)):
            found[name][list(keys)] = np.fromiter(keys.values(), "<u8", len(keys))
        return found


def _json(value: Any) -> bytes:
    """Serialise turns or tools; a table may hold values there that JSON has no form for."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise Rejected("bad_content", str(error)) from None
