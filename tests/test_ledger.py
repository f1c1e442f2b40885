"""File records: what was hashed while it was written is taken over, as long as it is untouched."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from factory import ledger, storage
from factory.errors import DataError, Interrupted, StaleInput


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


def test_what_is_recorded_beside_a_stage_is_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with ledger.recording({"a": path}) as records:
        assert records() == {"a": ledger.record(path)}


def test_a_file_that_changes_before_it_is_hashed_stops_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    sha256_file = storage.sha256_file

    def changed_first(path: Path, _stop: object) -> str:
        path.write_bytes(b"2")
        return sha256_file(path)

    monkeypatch.setattr(storage, "sha256_file", changed_first)
    with ledger.recording({"a": path}) as records, pytest.raises(StaleInput, match="changed"):
        records()


def test_what_is_no_file_is_refused_before_the_stage_begins(tmp_path: Path) -> None:
    path = tmp_path / "link"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="symbolic links"), ledger.recording({"a": path}):
        pytest.fail("the stage began")


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        storage.sha256_file(path, stop)
