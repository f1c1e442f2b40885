"""The work on one block of rows: parse, canonicalise, serialise, index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice, repeat
from operator import is_, methodcaller
from typing import Any, NamedTuple

import numpy as np
import orjson
from xxhash import xxh3_64_digest, xxh3_128_digest

from factory.data import plain, toolcalls
from factory.data.bytecount import count_byte
from factory.data.canonical import (
    CONTENT,
    NO_OPTIONS,
    NO_SPLIT,
    Options,
    Profile,
    convert,
    options,
    profile_of,
    user_text,
)
from factory.data.containers import Block
from factory.data.formats import PLAIN, READERS
from factory.data.formats.plain import PlainNames
from factory.data.index import RECORD
from factory.data.mapping import ColumnMapping
from factory.data.markup import NO_TOKENS, SpecialTokens, made_plain, occurs
from factory.data.normalise import folded
from factory.data.parse import Parsed, check_duplicate_keys, has_escaped_colon
from factory.data.reasoning import FIELD, KEEP, START, arranged
from factory.data.rejection import Rejected
from factory.data.selection import EVERYTHING, Selection, selected

HEAD = b'{"conversations":'
_IS_LINE = methodcaller("endswith", b"\n")
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
    """What became of a block's rows."""

    lines: bytes
    records: np.ndarray
    rejects: list[Reject]


def format_block(block: Block, origin: Origin, profiles: dict[Profile, int]) -> Formatted:
    """Return the canonical lines of a block, their index records, and its rejects.

    `profiles` numbers what rows have in common; what is new in this block is added to it.

    Lines of mere texts go straight through. Rows of mere texts among others are at first not looked
    at for marks, and not for keys named twice; where there may be any, each row is looked at.
    """
    texts = _texts(block, origin)
    if texts is None:
        return _trusted(block, origin, profiles) or _checked(block, origin, profiles)
    if occurs(texts.lines, origin.marks()):
        return _checked(block, origin, profiles)
    numbers = [profiles.setdefault(profile, len(profiles)) for profile in texts.profiles]
    if texts.records.size:
        texts.records["profile"] = np.array(numbers, np.uint32)[texts.records["profile"]]
    return Formatted(texts.lines, texts.records, [])


def _texts(block: Block, origin: Origin) -> plain.Lines | None:
    """The canonical lines if these are lines of mere texts; None if they may be others."""
    names = _names(origin)
    first, data = block.lines() if names is not None else (0, b"")
    if names is None or not data:
        return None
    before, after = _id(block, origin)
    return plain.straight(data, first, names, plain.Frame(HEAD, before, after + _source(origin)))


def _names(origin: Origin) -> PlainNames | None:
    """What rows of mere texts are called, if they can be taken as they are."""
    read = selected(READERS[origin.format], origin.selection)
    return None if origin.mapping else PLAIN.get(read)


def _id(block: Block, origin: Origin) -> tuple[bytes, bytes]:
    """What is before and behind a row's number in the id that names its place."""
    before, after = block.place().split(b"%d")
    return b',"id":' + orjson.dumps(origin.source)[:-1] + before, after + b'"'


def _source(origin: Origin) -> bytes:
    """How each row of a source ends."""
    return b',"source":%b}\n' % orjson.dumps(origin.source)


def _trusted(block: Block, origin: Origin, profiles: dict[Profile, int]) -> Formatted | None:
    """What becomes of the rows if none has a mark or names a key twice; None if one may do so.

    A key that was lost leaves a text longer than it had to be, and takes a colon with it: there is
    none if there is no such text, or if the colons of the block add up.
    """
    rows, text = _Rows(block, origin), block.text()
    rows.add_trusting(list(block.rows()))
    lines = rows.lines()
    keys_lost = rows.longer and (
        count_byte(text, b":") != count_byte(lines, b":") + rows.balance or has_escaped_colon(text)
    )
    if keys_lost or occurs(lines, origin.marks()):
        return None
    return Formatted(lines, rows.records(profiles), rows.rejects)


def _checked(block: Block, origin: Origin, profiles: dict[Profile, int]) -> Formatted:
    """What becomes of the rows, each of them looked at."""
    rows = _Rows(block, origin)
    rows.add_checking(list(block.rows()))
    return Formatted(rows.lines(), rows.records(profiles), rows.rejects)


class _Rows:
    """The rows of one block by column, which is how the index wants them.

    balance: colons that were read and not written
    longer:  whether a text of a row of mere texts is longer than it had to be
    """

    def __init__(self, block: Block, origin: Origin) -> None:
        self._block = block
        self._read = selected(READERS[origin.format], origin.selection)
        self._mapping = origin.mapping
        self._plain = _names(origin)
        self._special_tokens = origin.special_tokens
        self._marks = origin.marks()
        self._reasoning = origin.reasoning
        self._source = _source(origin)
        before, after = map(_literally, _id(block, origin))
        self._id = b"%b%%d%b" % (before, after)
        self._id_and_source = self._id + _literally(self._source)
        self._colons = (self._id_and_source % 0).count(b":")
        self.rejects: list[Reject] = []
        self.balance = 0
        self.longer = False
        self._turns: list[bytes] = []
        self._ends: list[bytes] = []
        self._users: list[str] = []
        self._row_numbers: list[int] = []
        self._profiles: list[Profile] = []
        # What some rows have, by position.
        self._tools: dict[int, bytes] = {}
        self._keys: dict[int, Options] = {}

    def add_trusting(self, parsed: Sequence[Parsed]) -> None:
        """Add rows in order; those of mere texts at once, parted until no other is among them."""
        if self._add_plain(parsed):
            return
        if self._plain is None or len(parsed) <= 1:
            for row in parsed:
                self._try(row, self._add_unique)
            return
        middle = len(parsed) // 2
        self.add_trusting(parsed[:middle])
        self.add_trusting(parsed[middle:])

    def add_checking(self, parsed: Sequence[Parsed]) -> None:
        """Add rows in order, each of them looked at for keys named twice and for marks."""
        for row in parsed:
            self._try(row, self._add_checked)

    def _try(self, row: Parsed, add: Callable[[int, bytes, dict[str, Any]], None]) -> None:
        number, text, raw = row
        try:
            if isinstance(raw, Rejected):
                raise raw
            add(number, text, raw)
        except Rejected as rejected:
            line = self._block.line(number)
            self.rejects.append((line, rejected.code, rejected.detail))
            self.balance += text.count(b":")

    def _add_unique(self, number: int, text: bytes, raw: dict[str, Any]) -> None:
        if text:
            check_duplicate_keys(text, raw)
        self._add(number, text, raw)

    def _add_checked(self, number: int, text: bytes, raw: dict[str, Any]) -> None:
        if text:
            check_duplicate_keys(text, raw)
        if self._may_have_marks(text) or not self._add_plain([(number, text, raw)]):
            self._add(number, text, raw)

    def _may_have_marks(self, text: bytes) -> bool:
        """Whether a row may have a mark: in plain sight, as an escape, or without JSON text."""
        return not text or b"\\u" in text or occurs(text, self._marks)

    def _add_plain(self, parsed: Sequence[Parsed]) -> bool:
        """Add rows of mere texts, all or none of them; return whether they are such.

        This is the price of the commonest kind of row: nothing is called for a row that could be
        done for all of them.
        """
        if self._plain is None or not parsed:
            return False
        numbers, texts, raws = zip(*parsed, strict=True)
        found = plain.columns(raws, self._plain)
        if found is None:
            return False
        more = sum(map(len, raws)) - len(raws)
        if not more:
            ends = list(map(self._id_and_source.__mod__, numbers))
            self.balance -= self._colons * len(raws)
        elif any(raw.get(name) for raw in raws for name in self._plain.more):
            return False
        else:
            try:
                extras = list(map(options, raws))
            except Rejected:
                return False
            ends = list(map(self._end, extras, numbers))
            splits = [extra.split for extra in extras]
            found = found._replace(profiles=list(map(_in_split, found.profiles, splits)))
            self._keys.update(enumerate(extras, len(self._turns)))
            self.balance += more - b"".join(ends).count(b":")
        if texts[0]:
            least = found.least.sum() + len(raws) * len(b'{"":}%b' % self._plain.turns.encode())
            self.longer |= least != sum(map(len, texts)) - sum(map(_IS_LINE, texts))
        self._extend(found, numbers, ends)
        return True

    def _extend(self, found: plain.Plain, numbers: Iterable[int], ends: list[bytes]) -> None:
        self._turns += found.turns
        self._ends += ends
        self._users += found.users
        self._row_numbers += numbers
        self._profiles += found.profiles

    def _add(self, number: int, text: bytes, raw: dict[str, Any]) -> None:
        """Add a row that has to be converted."""
        if self._mapping is not None:
            raw = self._mapping.row(raw)
        messages, tools, shape = convert(raw, self._read)
        messages = arranged(messages, self._reasoning)
        messages, findings = made_plain(messages, self._special_tokens)
        findings += toolcalls.findings(messages, tools)
        extra = options(raw) if len(raw) > 1 else NO_OPTIONS
        declared = b"" if tools is None else _json(tools)
        turns, end = _json(messages), self._end(extra, number)
        if declared:
            self._tools[len(self._turns)] = declared
            end = b',"tools":' + declared + end
        self._keys[len(self._turns)] = extra
        self._turns.append(turns)
        self._ends.append(end)
        self._users.append(user_text(shape, list(map(CONTENT, messages))))
        self._row_numbers.append(number)
        self._profiles.append(profile_of(shape, messages, tools, extra.split, findings))
        written = HEAD.count(b":") + turns.count(b":") + end.count(b":")
        self.balance += text.count(b":") - written

    def _end(self, extra: Options, number: int) -> bytes:
        """The fields behind a row's turns and tools."""
        name = b"" if extra.id_key else self._id % number
        return name + extra.json + self._source

    def lines(self) -> bytes:
        """The canonical lines."""
        return b"".join(chain.from_iterable(zip(repeat(HEAD), self._turns, self._ends)))

    def records(self, numbers: dict[Profile, int]) -> np.ndarray:
        """The index records of the rows; `numbers` numbers their profiles."""
        contents = self._turns.copy()
        for position, tools in self._tools.items():
            contents[position] += tools
        found = np.zeros(len(self._turns), RECORD)
        content = np.frombuffer(b"".join(map(xxh3_128_digest, contents)), "<u8").reshape(-1, 2)
        found["content"], found["content_low"] = content.T
        user = b"".join(map(xxh3_64_digest, folded(self._users)))
        found["user"] = np.frombuffer(user, "<u8")
        found["profile"] = _numbered(self._profiles, numbers)
        found["line"] = list(map(self._block.line, self._row_numbers))
        found["size"] = len(HEAD)
        for parts in (self._turns, self._ends):
            found["size"] += np.fromiter(map(len, parts), "<u4", len(parts))
        for position, extra in self._keys.items():
            found["group"][position], found["id"][position] = extra.group_key, extra.id_key
        return found


def _literally(text: bytes) -> bytes:
    """A pattern for `%` that says `text`."""
    return text.replace(b"%", b"%%")


@lru_cache(maxsize=4096)
def _in_split(profile: Profile, split: int) -> Profile:
    return profile if split == NO_SPLIT else profile._replace(split=split)


def _numbered(profiles: Sequence[Profile], numbers: dict[Profile, int]) -> list[int]:
    """The number of each profile, a new one if it has none yet; most rows share a few objects."""
    if profiles and all(map(is_, profiles, islice(profiles, 1, None))):
        return [numbers.setdefault(profiles[0], len(numbers))] * len(profiles)
    identities = list(map(id, profiles))
    known = {
        identity: numbers.setdefault(profile, len(numbers))
        for identity, profile in dict(zip(identities, profiles, strict=True)).items()
    }
    return list(map(known.__getitem__, identities))


def _json(value: Any) -> bytes:
    """Serialise turns or tools; a table may hold values there that JSON has no form for."""
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise Rejected("bad_content", str(error)) from None
