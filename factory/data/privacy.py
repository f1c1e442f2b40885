"""What is done about personal data and secrets: reported, masked, or their rows left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

import numpy as np

from factory import storage
from factory.artifacts import PiiReport
from factory.config import Dataset
from factory.data import pii
from factory.data.replace import replace
from factory.data.rows import KEPT, PRIVATE, Rows
from factory.data.scan import scan
from factory.data.spool import Spool


def apply(spool: Spool, rows: Rows, settings: Dataset, findings: BinaryIO) -> PiiReport:
    """Look through every row, write what kinds were found where, and do as configured."""
    found: Counter[str] = Counter()
    with_kind: Counter[str] = Counter()
    places: list[int] = []

    def changed() -> Iterator[tuple[int, bytes]]:
        kept = np.flatnonzero(rows.fate == KEPT)
        look = partial(pii.look, region=settings.pii_region, mask=settings.pii == "mask")
        for chunk, seen in scan(spool, kept, look, settings.workers()):
            for position, kinds, line in seen:
                row = int(chunk[position])
                places.append(row)
                found.update(kinds)
                with_kind.update(kinds.keys())
                name, number = rows.place(row)
                storage.write_jsonl(
                    findings,
                    {"file": name, "line": number, "action": settings.pii, "kinds": kinds},
                )
                if settings.pii == "drop":
                    rows.remarks[row] = ", ".join(kinds)
                if line is not None:
                    yield row, line

    replace(spool, rows, changed(), renamed=False)
    if settings.pii == "drop":
        rows.drop(np.array(places, dtype=np.int64), PRIVATE)
    return PiiReport(
        action=settings.pii,
        rows=len(places),
        found=dict(sorted(found.items())),
        rows_with=dict(sorted(with_kind.items())),
    )
