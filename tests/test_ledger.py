"""File records: what was hashed while it was written is taken over, as long as it is untouched."""

from __future__ import annotations

from pathlib import Path

from factory import ledger, storage


def test_a_known_record_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    known = {path: ledger.record(path, "0" * 64)}
    assert ledger.record_all({"a": path}, known) == {"a": known[path]}


def test_a_file_that_changed_since_is_hashed_again(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    known = {path: ledger.record(path, "0" * 64)}
    path.write_bytes(b"2")
    assert ledger.record_all({"a": path}, known)["a"].sha256 == storage.sha256_file(path)
