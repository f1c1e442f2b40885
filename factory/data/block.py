"""The work on one block of rows: parse, canonicalise, serialise, index."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson

from factory.data.bytecount import count_byte
from factory.data.canonical import Profile, prepare
from factory.data.containers import Block
from factory.data.formats import READERS
from factory.data.index import RECORD
from factory.data.parse import check_duplicate_keys, has_escaped_colon
from factory.data.rejection import Rejected

Reject = tuple[int, str, str]  # line number, reason code, detail


class Origin(NamedTuple):
    """The file a block is from, as its rows name it, and the format of its rows."""

    source: str
    format: str


class Formatted(NamedTuple):
    """What became of a block's rows. Profile numbers count from zero in each block."""

    lines: bytes
    records: np.ndarray
    profiles: list[Profile]
    rejects: list[Reject]


def format_block(block: Block, origin: Origin) -> Formatted:
    """Return the canonical lines of a block, their index records, and its rejects."""
    rows = _Rows()
    balance = rows.read(block, origin, check_each=False)
    text, lines = block.text(), b"".join(rows.lines)
    if count_byte(text, b":") != count_byte(lines, b":") + balance or has_escaped_colon(text):
        rows = _Rows()
        rows.read(block, origin, check_each=True)
        lines = b"".join(rows.lines)
    return Formatted(lines, rows.records(), list(rows.profiles), rows.rejects)


class _Rows:
    """The rows of one block by column, which is how the index wants them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.rejects: list[Reject] = []
        self.profiles: dict[Profile, int] = {}
        self._content: list[bytes] = []
        self._user: list[bytes] = []
        self._numbers: list[tuple[int, int, int, int]] = []

    def read(self, block: Block, origin: Origin, *, check_each: bool) -> int:
        """Prepare every row of the block; return the colons that were read and not written.

        Unless `check_each`, rows whose turns went through untouched are not looked at for keys
        named twice: their bytes differ from what was read in other fields only, a colon each, so
        that a key lost in any of them makes the colons of the whole block not add up.
        """
        read, source = READERS[origin.format], orjson.dumps(origin.source)
        balance = 0
        for number, text, raw in block.rows():
            try:
                if isinstance(raw, Rejected):
                    raise raw
                row = prepare(raw, read, source, number)
                if check_each or not row.untouched:
                    check_duplicate_keys(text, raw)
            except Rejected as rejected:
                self.rejects.append((number, rejected.code, rejected.detail))
                balance += text.count(b":")
                continue
            line = row.core + row.rest
            if row.untouched:
                balance += len(raw) - 1 - row.rest.count(b":")
            else:
                balance += text.count(b":") - line.count(b":")
            self.lines.append(line)
            self._content.append(row.content_key)
            self._user.append(row.user_key)
            profile = self.profiles.setdefault(row.profile, len(self.profiles))
            self._numbers.append((row.group_key, row.id_key, profile, number))
        return balance

    def records(self) -> np.ndarray:
        """The index records of the rows."""
        found = np.empty(len(self.lines), RECORD)
        found["content"] = np.frombuffer(b"".join(self._content), "<u8").reshape(-1, 2)
        found["user"] = np.frombuffer(b"".join(self._user), "<u8")
        numbers = np.array(self._numbers, dtype="<u8").reshape(-1, 4)
        found["group"], found["id"], found["profile"], found["line"] = numbers.T
        found["size"] = list(map(len, self.lines))
        return found
