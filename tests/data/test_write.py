"""The splits as files: their hashes are those of their bytes, taken beside the writing or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.tuples(st.binary(max_size=9), st.integers(-3, 2)), min_size=1, max_size=30))
def test_lines_are_parted_alike_with_a_compiler_and_without(rows: list[tuple[bytes, int]]) -> None:
    lines, numbers = zip(*rows, strict=True)
    batch = Batch(0, b"".join(lines), np.cumsum(list(map(len, lines)), dtype=np.int64))
    fate = np.array(numbers, dtype=np.int8)
    expected = [b"".join(line for line, n in rows if n == split) for split in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        assert list(write._parted(batch, fate, 3)) == expected
        patch.setattr(write, "_part", None)
        assert list(write._parted(batch, fate, 3)) == expected


@pytest.mark.skipif(write._part is None, reason="factory/data/_lines.c is not compiled")
@pytest.mark.parametrize(
    ("ends", "fates", "parts"),
    [([3, 2], 2, 3), ([-1, 2], 2, 3), ([2, 9], 2, 3), ([2, 4], 1, 3), ([2, 4], 2, 9)],
)
def test_lines_that_are_not_in_the_data_are_refused(
    ends: list[int], fates: int, parts: int
) -> None:
    assert write._part is not None
    with pytest.raises(ValueError):
        write._part(b"abcd", np.array(ends), np.zeros(fates, dtype=np.int8), parts)
