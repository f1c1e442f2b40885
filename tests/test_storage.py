"""Files: atomic, bounded, inside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from factory import storage
from factory.errors import ConfigError, DataError, DiskFull


def test_atomic_write_keeps_the_old_file_when_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    storage.write_json(path, {"old": True})
    with pytest.raises(RuntimeError), storage.atomic_write(path) as file:
        file.write(b"half of the new")
        raise RuntimeError
    assert json.loads(path.read_text()) == {"old": True}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    """/dev/full answers every write as a full disk does."""
    path = tmp_path / "a.json"
    storage.write_json(path, {"old": True})
    with (
        pytest.raises(DiskFull, match="no space is left") as raised,
        storage.atomic_write(path),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert raised.value.where == str(path)
    assert json.loads(path.read_text()) == {"old": True}
    assert os.listdir(tmp_path) == ["a.json"]


def test_the_temporary_file_of_a_killed_process_goes_with_the_next_write(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True
    )
    abandoned = tmp_path / f".a.json.{int(gone.stdout)}-abc.tmp"
    others = [tmp_path / f".a.json.{os.getpid()}-abc.tmp", tmp_path / ".b.json.1-abc.tmp"]
    for file in (abandoned, *others):
        file.write_text("half")
    storage.write_json(tmp_path / "a.json", {})
    assert not abandoned.exists()
    assert all(file.exists() for file in others)


def test_json_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1', "Expecting"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b"\xff\xfe{}", "can't decode"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_broken_json_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        storage.read_json(path)
    assert message in raised.value.message
    assert "broken.json" in str(raised.value.where)


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", ".", "missing"):
        with pytest.raises(DataError):
            storage.open_regular(tmp_path / name)
    with pytest.raises(DataError):
        storage.open_regular(Path("/dev/zero"))


def test_list_files_is_sorted_and_leaves_hidden_files_out(tmp_path: Path) -> None:
    for name in ("b/2", "a", "b/1", ".hidden", ".cache/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [path.relative_to(tmp_path).as_posix() for path in storage.list_files(tmp_path)] == [
        "a",
        "b/1",
        "b/2",
    ]


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "../rootsibling/x", "", "a\0b"]
)
def test_paths_outside_the_root_are_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "rootsibling").mkdir()
    with pytest.raises(ConfigError) as raised:
        storage.inside(root, path, field="dataset.path")
    assert raised.value.where == "dataset.path"


def test_a_link_that_leads_outside_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "door").symlink_to(tmp_path)
    with pytest.raises(ConfigError):
        storage.inside(root, "door/x", field="dataset.path")


def test_an_allowed_folder_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    allowed = (tmp_path / "data",)
    found = storage.inside(tmp_path / "root", "../data/x", field="dataset.path", allowed=allowed)
    assert found == tmp_path / "data" / "x"


def test_a_tilde_is_a_file_name(tmp_path: Path) -> None:
    assert storage.inside(tmp_path, "~/x", field="dataset.path") == tmp_path / "~" / "x"


def test_sha256_json_does_not_depend_on_key_order() -> None:
    assert storage.sha256_json({"a": 1, "b": 2}) == storage.sha256_json({"b": 2, "a": 1})
