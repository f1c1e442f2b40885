"""Exact duplicates: rows whose normalised content is equal."""

from __future__ import annotations

import numpy as np


def duplicates(index: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return a mask of the rows that repeat an earlier row with the same label.

    `labels` is the split a row was predefined for: a copy in another split is no duplicate to
    drop but a leak to report.
    """
    order = np.lexsort((labels, index["content_low"], index["content_high"]))
    repeats = np.zeros(len(index), dtype=bool)
    same = np.ones(max(len(index) - 1, 0), dtype=bool)
    for column in (index["content_high"], index["content_low"], labels):
        ordered = column[order]
        same &= ordered[1:] == ordered[:-1]
    repeats[order[1:][same]] = True
    return repeats
