"""Secrets and machine paths are found wherever they are, and never repeated."""

from __future__ import annotations

from pathlib import Path

from factory import storage
from factory.export import leaks

SECRET = "hf_abcdefghijklmnop"
ENVIRONMENT = {"HF_TOKEN": SECRET, "CI_TOKEN": "true", "HOME": "/home/someone-else"}


def found(folder: Path, workspace: Path) -> list[str]:
    return leaks.find(folder, workspace, ENVIRONMENT)


def test_nothing_is_found_in_clean_files(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("true and /home/someone-else are no secrets")
    assert found(tmp_path, Path("/srv/workspace")) == []


def test_a_secret_is_named_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "config.json").write_text(f'{{"token": "{SECRET}"}}')
    assert found(tmp_path, Path("/srv/workspace")) == [
        "adapter/config.json holds the value of HF_TOKEN"
    ]


def test_the_path_of_the_workspace_is_found(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"\0\1/srv/workspace/models/base\2")
    assert found(tmp_path, Path("/srv/workspace")) == [
        "model.gguf holds the path of this workspace"
    ]


def test_a_secret_across_two_pieces_of_a_large_file_is_found(tmp_path: Path) -> None:
    filler = b"x" * (storage.CHUNK_BYTES - 5)
    (tmp_path / "weights").write_bytes(filler + SECRET.encode() + filler)
    assert found(tmp_path, Path("/srv/workspace")) == ["weights holds the value of HF_TOKEN"]


def test_a_workspace_at_the_root_of_the_disk_is_no_needle(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("a/b")
    assert found(tmp_path, Path("/")) == []
