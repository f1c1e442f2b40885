"""The splits as files: every kept line of the spool to its split, in input order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from factory import storage


def write_splits(lines: Iterable[bytes], splits: np.ndarray, paths: Sequence[Path]) -> None:
    """Write each line to the path of its split number; a negative number drops the line."""
    with ExitStack() as stack:
        files = [stack.enter_context(storage.atomic_write(path)) for path in paths]
        writers = [file.write for file in files]
        for line, split in zip(lines, splits.tolist(), strict=True):
            if split >= 0:
                writers[split](line)
