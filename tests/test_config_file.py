"""training-config.json, or the same as YAML or TOML."""

from pathlib import Path

import pytest

from factory import config_file, layers
from factory.errors import ConfigError

YAML = """\
model:
  name: models/base
training:
  learning_rate: 2e-4
  max_steps: null
  bf16: false
"""
TOML = """\
[model]
name = "models/base"
[training]
learning_rate = 2e-4
bf16 = false
"""


@pytest.mark.parametrize(("suffix", "text"), [(".yaml", YAML), (".yml", YAML), (".toml", TOML)])
def test_yaml_and_toml_stand_in_for_the_json_file(tmp_path: Path, suffix: str, text: str) -> None:
    (tmp_path / f"training-config{suffix}").write_text(text)
    config = layers.load(tmp_path / "training-config.json").config
    assert config.training.learning_rate == 2e-4
    assert config.training.bf16 is False


def test_json_comes_first(tmp_path: Path) -> None:
    (tmp_path / "training-config.yaml").write_text(YAML)
    (tmp_path / "training-config.json").write_text("{}")
    assert config_file.locate(tmp_path / "training-config.json").suffix == ".json"


def test_two_others_compete(tmp_path: Path) -> None:
    (tmp_path / "training-config.yaml").write_text(YAML)
    (tmp_path / "training-config.toml").write_text(TOML)
    with pytest.raises(ConfigError, match="two configurations"):
        config_file.locate(tmp_path / "training-config.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {name: a}\nmodel: {name: b}\n", "'model' is given twice"),
        ("model: [", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("- a\n", "must be a mapping"),
    ],
)
def test_yaml_is_read_strictly(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "training-config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as raised:
        config_file.read(path)
    assert str(path) in str(raised.value.where)
