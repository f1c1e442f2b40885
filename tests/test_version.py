"""project.version, raised and written."""

import json
from pathlib import Path

import pytest

from factory import version
from factory.errors import ConfigError


@pytest.mark.parametrize(
    ("part", "expected"), [("major", "2.0.0"), ("minor", "1.3.0"), ("patch", "1.2.4")]
)
def test_lower_parts_start_again(part: version.Part, expected: str) -> None:
    assert version.bumped("1.2.3", part) == expected


def test_only_the_version_changes_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "training-config.json"
    path.write_text('{"project": {"name": "mine"}, "lora": {"r": 4}}')
    version.write(path, "0.2.0")
    assert json.loads(path.read_text()) == {
        "project": {"name": "mine", "version": "0.2.0"},
        "lora": {"r": 4},
    }


def test_a_yaml_file_is_left_to_its_author(tmp_path: Path) -> None:
    (tmp_path / "training-config.yaml").write_text("# mine\nlora: {r: 4}\n")
    with pytest.raises(ConfigError, match=r"set project\.version to"):
        version.write(tmp_path / "training-config.json", "0.2.0")
