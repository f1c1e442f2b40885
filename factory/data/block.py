"""The work of one worker on one block: parse, canonicalise, serialise, index."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import orjson

from factory.data.canonical import NO_SPLIT, prepare
from factory.data.containers import Block
from factory.data.formats import READERS
from factory.data.index import RECORD, Profile, Profiles
from factory.data.rejection import Rejected

_LOW = (1 << 64) - 1


class Task(NamedTuple):
    """One block of one source."""

    block: Block
    source: int
    source_name: str
    source_split: int
    format: str


class Formatted(NamedTuple):
    """What became of a block's rows."""

    lines: bytes
    records: np.ndarray
    profiles: list[Profile]
    rejects: list[tuple[int, str, str]]


def format_block(task: Task) -> Formatted:
    """Return the canonical lines of a block, their index records, and its rejects."""
    read = READERS[task.format]
    profiles = Profiles()
    lines: list[bytes] = []
    records: list[tuple[int, ...]] = []
    rejects: list[tuple[int, str, str]] = []
    for number, raw in task.block.rows():
        try:
            if isinstance(raw, Rejected):
                raise raw
            row = prepare(raw, read, task.source_name, number)
            line = orjson.dumps(row.row, option=orjson.OPT_APPEND_NEWLINE)
        except Rejected as rejected:
            rejects.append((number, rejected.code, rejected.detail))
            continue
        split = task.source_split if row.split == NO_SPLIT else row.split
        profile = Profile(task.source, row.shape.roles, row.calls, row.rich, split, row.findings)
        key = row.content_key
        lines.append(line)
        records.append(
            (
                key >> 64,
                key & _LOW,
                row.user_key,
                row.group_key,
                row.id_key,
                profiles.number(profile),
                len(line),
            )
        )
    return Formatted(b"".join(lines), np.array(records, RECORD), list(profiles), rejects)
