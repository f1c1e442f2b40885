"""Which files a configuration means."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.data import sources
from factory.errors import DataError


def find(root: Path, *names: str) -> list[tuple[str, int]]:
    found = sources.find(
        list(names),
        resolve=lambda name: root / name,
        name=lambda path: path.relative_to(root).as_posix(),
    )
    return [(file.name, file.split) for file in found]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.json", "deep/test.jsonl", "notes.md", ".hidden.jsonl"):
        path = tmp_path / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_means_its_readable_files_in_order(root: Path) -> None:
    assert find(root, "raw") == [
        ("raw/a.json", -1),
        ("raw/b.jsonl", -1),
        ("raw/deep/test.jsonl", 2),
    ]


def test_a_file_named_twice_is_read_once(root: Path) -> None:
    assert find(root, "raw/b.jsonl", "raw/b.jsonl") == [("raw/b.jsonl", -1)]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train.jsonl", 0),
        ("gsm8k_train.jsonl", 0),
        ("my-val.json", 1),
        ("validation.jsonl", 1),
        ("test.jsonl", 2),
        ("contest.jsonl", -1),
        ("latest.jsonl", -1),
        ("sft_demo_50.jsonl", -1),
        ("data/test/data-00000-of-00001.arrow", 2),
        ("data/test/train.jsonl", 0),
        ("test/deep/a.jsonl", -1),
        ("/home/test/a.jsonl", -1),
        ("../test/a.jsonl", -1),
    ],
)
def test_file_names_promise_splits(name: str, split: int) -> None:
    assert sources.split_of(Path(name)) == split


@pytest.mark.parametrize("name", ["missing", "raw/notes.md", "empty"])
def test_a_source_that_cannot_be_read_is_named(root: Path, name: str) -> None:
    (root / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        find(root, name)
    assert caught.value.where == name


def test_a_pattern_means_the_files_it_matches(root: Path) -> None:
    assert find(root, "raw/**/*.jsonl") == [("raw/b.jsonl", -1), ("raw/deep/test.jsonl", 2)]


def test_a_pattern_that_matches_nothing_is_an_error(root: Path) -> None:
    with pytest.raises(DataError, match="matches"):
        find(root, "raw/*.parquet")


def test_what_datasets_saves_beside_its_rows_is_none(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"prompt": "a", "completion": "b"}])
    datasets.DatasetDict({"train": rows, "test": rows}).save_to_disk(tmp_path / "saved")
    assert find(tmp_path, "saved") == [
        ("saved/test/data-00000-of-00001.arrow", 2),
        ("saved/train/data-00000-of-00001.arrow", 0),
    ]
