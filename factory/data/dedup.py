"""Duplicates: rows whose normalised content is equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from factory.data.canonical import normalised_key
from factory.data.index import Index, shared
from factory.data.rows import Values

Pick = Callable[[np.ndarray], Iterator[bytes]]


def exact(index: Index, labels: np.ndarray, pick: Pick) -> Values:
    """Return the rows that repeat an earlier one, with that one.

    Only rows with the same label are compared: a copy of a row that was predefined for another
    split is no duplicate to drop but a leak to report. Rows of identical bytes are found by their
    key; rows whose user text has the same key are read again (`pick`) and compared as normalised.
    """
    twins = _identical(index, labels)
    user = index.column("user")
    user[twins.rows] = 0  # found already
    again = shared(user)
    first_with: dict[tuple[int, bytes], int] = {}
    rows, originals = [twins.rows], [twins.values]
    for row, line in zip(again.tolist(), pick(again), strict=True):
        twin = first_with.setdefault((int(labels[row]), normalised_key(line)), row)
        if twin != row:
            rows.append(np.array([row]))
            originals.append(np.array([twin]))
    return _ordered(np.concatenate(rows), np.concatenate(originals))


def _identical(index: Index, labels: np.ndarray) -> Values:
    """Rows of the same label whose canonical bytes have the same key."""
    rows = shared(index.column("content"))
    columns = (index.column(name)[rows] for name in ("content", "content_low"))
    twins = same(rows, [*columns, labels[rows]])
    return _ordered(twins.rows, twins.values)


def same(rows: np.ndarray, columns: list[np.ndarray]) -> Values:
    """Return those of `rows` (in order) that equal an earlier one in all columns, with that one."""
    if not len(rows):
        return Values(rows, rows)
    order = np.lexsort(columns)
    equal = np.ones(len(order) - 1, dtype=bool)
    for column in columns:
        equal &= column[order][1:] == column[order][:-1]
    group = np.concatenate(([0], np.cumsum(~equal)))
    firsts = order[np.flatnonzero(np.concatenate(([True], ~equal)))]
    later = np.flatnonzero(np.concatenate(([False], equal)))
    return Values(rows[order[later]], rows[firsts[group[later]]])


def _ordered(rows: np.ndarray, values: np.ndarray) -> Values:
    order = np.argsort(rows)
    return Values(rows[order], values[order])


def repeated(ids: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """A mask of the kept rows whose given id (a non-zero key) an earlier kept row has."""
    given = np.where(kept, ids, 0).astype(ids.dtype)
    rows = shared(given)
    mask = np.zeros(len(ids), dtype=bool)
    mask[same(rows, [given[rows]]).rows] = True
    return mask
