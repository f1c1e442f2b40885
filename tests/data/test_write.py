"""The splits as files: their hashes are those of their bytes, taken beside the writing or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from factory import storage
from factory.data import write
from factory.data.lines import Batch


@pytest.mark.parametrize("flush_bytes", [1, write.FLUSH_BYTES])
@pytest.mark.parametrize("beside", [False, True])
def test_the_hashes_are_those_of_the_files(
    tmp_path: Path, beside: bool, flush_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "FLUSH_BYTES", flush_bytes)
    lines = [b"%d\n" % row for row in range(1000)]
    batches = [
        Batch(
            first, b"".join(lines[first : first + 10]), np.cumsum([*map(len, lines)][first:][:10])
        )
        for first in range(0, 1000, 10)
    ]
    fate = np.arange(1000, dtype=np.int8) % 4 - 1
    paths = [tmp_path / name for name in ("train", "val", "test")]
    hashes = write.write_splits(
        batches, fate, np.zeros(1000, dtype=bool), paths, [b"more\n"], beside=beside
    )
    assert [path.read_bytes() for path in paths] == [
        b"".join(line for line, split in zip(lines, fate, strict=True) if split == number) + more
        for number, more in enumerate((b"more\n", b"", b""))
    ]
    assert hashes == [storage.sha256_file(path) for path in paths]
