"""Only exactly the pinned source distribution is ever used."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path

import pytest

from factory.kit import source
from factory.kit.source import KitError, Release


def release_of(content: bytes) -> Release:
    return Release("9.9.9", hashlib.sha256(content).hexdigest(), "0" * 40)


def test_the_pinned_file_is_taken_without_a_download(tmp_path: Path) -> None:
    release = release_of(b"sources")
    there = tmp_path / release.sdist_name
    there.write_bytes(b"sources")
    assert source.fetch(tmp_path, release) == there


def test_another_file_is_refused_and_removed(tmp_path: Path) -> None:
    release = release_of(b"sources")
    there = tmp_path / release.sdist_name
    there.write_bytes(b"sources, altered")
    with pytest.raises(KitError, match=r"sha256 is .*, expected") as raised:
        source.fetch(tmp_path, release)
    assert str(there) in str(raised.value)
    assert not there.exists()


def test_a_failed_download_says_what_pip_said_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(KitError, match=r"No matching distribution.*9\.9\.9") as raised:
        source.fetch(tmp_path / "cache", release_of(b""))
    assert "llama_cpp_python-9.9.9.tar.gz" in str(raised.value.hint)


def test_unpack_returns_the_top_folder_and_refuses_another(tmp_path: Path) -> None:
    inside = tmp_path / "llama_cpp_python-9.9.9"
    inside.mkdir()
    (inside / "CMakeLists.txt").write_text("project(x)\n")
    for name in ("llama_cpp_python-9.9.9", "something-else"):
        with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(inside, arcname=name)
    good, bad = tmp_path / "good", tmp_path / "bad"
    tree = source.unpack(tmp_path / f"{inside.name}.tar.gz", good, release_of(b""))
    assert (tree / "CMakeLists.txt").is_file()
    with pytest.raises(KitError, match=r"has no folder llama_cpp_python-9\.9\.9"):
        source.unpack(tmp_path / "something-else.tar.gz", bad, release_of(b""))
