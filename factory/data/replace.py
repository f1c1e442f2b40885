"""Rows in the place of others: the pieces of a long row, or a row with its secrets masked.

A replacement is a row of its own at the end of the spool, with the file and line of its original.
What comes after, dedup and split included, sees it like any other row.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import orjson
from xxhash import xxh3_64_digest, xxh3_128_digest

from factory.data import toolcalls
from factory.data.canonical import CONTENT, ROLE, options, profile_of, shape_of, user_text
from factory.data.index import RECORD
from factory.data.lines import Segment
from factory.data.normalise import fold
from factory.data.rows import Rows
from factory.data.spool import SourceProfile, Spool

BATCH_ROWS = 4096


def replace(spool: Spool, rows: Rows, lines: Iterable[tuple[int, bytes]], *, renamed: bool) -> None:
    """Put each canonical line in the place of the row that is named with it.

    A row may get several lines; then they are `renamed`: each has an id of its own.
    """
    path = spool.folder / f"replaced-{len(rows.fate)}.jsonl"
    columns = {name: spool.index.column(name) for name in ("profile", "line", "id")}
    found: list[int] = []
    pairs = iter(lines)
    with path.open("wb") as file:
        while batch := list(islice(pairs, BATCH_ROWS)):
            offset = file.tell()
            file.writelines(line for _, line in batch)
            records = [_record(spool, rows, columns, *pair, renamed=renamed) for pair in batch]
            segment = Segment(path, offset, file.tell() - offset, len(batch))
            spool.add(segment, np.array(records, dtype=RECORD))
            found += [row for row, _ in batch]
    rows.profiles = spool.profiles()
    rows.replace(np.array(found, dtype=np.int64))


def _record(
    spool: Spool,
    rows: Rows,
    columns: dict[str, np.ndarray],
    original: int,
    line: bytes,
    *,
    renamed: bool,
) -> tuple[int, ...]:
    """The index record of a line, as `block` makes it of the same line."""
    row = orjson.loads(line)
    before = rows.profiles[int(columns["profile"][original])]
    messages, tools = row["conversations"], row.get("tools")
    shape = shape_of(",".join(map(ROLE, messages)))
    findings = (
        *(code for code in before.profile.findings if code == "special_token"),
        *toolcalls.findings(messages, tools),
    )
    profile = profile_of(shape, messages, tools, before.profile.split, findings)
    given = options(row)
    content = orjson.dumps(messages) + (orjson.dumps(tools) if tools else b"")
    user = user_text(shape, list(map(CONTENT, messages)))
    (user_key,) = np.frombuffer(xxh3_64_digest(fold(user)), "<u8").tolist()
    return (
        *np.frombuffer(xxh3_128_digest(content), "<u8").tolist(),
        user_key,
        given.group_key,
        given.id_key if renamed else int(columns["id"][original]),
        spool.profile_number(SourceProfile(before.source, profile)),
        len(line),
        int(columns["line"][original]),
    )
