"""Duplicates: rows whose normalised content is equal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from factory.data.canonical import normalised_key

Pick = Callable[[np.ndarray], Iterator[bytes]]


def exact(index: np.ndarray, labels: np.ndarray, pick: Pick) -> np.ndarray:
    """Return for each row the earlier row that it repeats, or -1.

    Only rows with the same label are compared: a copy of a row that was predefined for another
    split is no duplicate to drop but a leak to report. Rows of identical bytes are found by their
    key; rows whose user text has the same key are read again (`pick`) and compared as normalised.
    """
    twins = _same(index["content"].T, labels)
    single = twins < 0
    again = _again(index["user"], labels, single)
    first_with: dict[object, int] = {}
    for row, line in zip(again.tolist(), pick(again), strict=True):
        twin = first_with.setdefault((int(labels[row]), normalised_key(line)), row)
        if twin != row:
            twins[row] = twin
    return twins


def _same(columns: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each row the first row that has the same values in all columns, or -1."""
    order = np.lexsort((labels, *columns))
    equal = np.ones(max(len(order) - 1, 0), dtype=bool)
    for column in (*columns, labels):
        ordered = column[order]
        equal &= ordered[1:] == ordered[:-1]
    twins = np.full(len(order), -1, dtype=np.int64)
    if len(order):
        group = np.concatenate(([0], np.cumsum(~equal)))
        firsts = order[np.flatnonzero(np.concatenate(([True], ~equal)))]
        later = np.flatnonzero(np.concatenate(([False], equal)))
        twins[order[later]] = firsts[group[later]]
    return twins


def _again(user: np.ndarray, labels: np.ndarray, single: np.ndarray) -> np.ndarray:
    """The rows, in order, that share label and user text with another row."""
    rows = np.flatnonzero(single)
    order = rows[np.lexsort((labels[rows], user[rows]))]
    equal = (user[order][1:] == user[order][:-1]) & (labels[order][1:] == labels[order][:-1])
    shared = np.concatenate((equal, [False])) | np.concatenate(([False], equal))
    return np.sort(order[shared]) if len(order) else rows


def repeated(ids: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """A mask of the kept rows whose given id (a non-zero key) an earlier kept row has."""
    rows = np.flatnonzero(kept & (ids != 0))
    mask = np.zeros(len(ids), dtype=bool)
    mask[rows[_same(ids[rows][np.newaxis], np.zeros(len(rows), dtype=np.int8)) >= 0]] = True
    return mask
