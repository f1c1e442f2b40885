"""The index: 52 bytes a row, so that dedup and split never hold a row's text in memory."""

from __future__ import annotations

import numpy as np

RECORD = np.dtype(
    [
        ("content", "<u8", 2),
        ("user", "<u8"),
        ("group", "<u8"),
        ("id", "<u8"),
        ("profile", "<u4"),
        ("size", "<u4"),
        ("line", "<u4"),
    ]
)
