"""Which base models are accepted."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from factory import base_model, config
from factory.console import Console
from factory.context import Context
from factory.errors import ConfigError, FactoryError
from factory.workspace import Workspace

BASE = Path(__file__).parents[1] / "models" / "base"


def resolve(root: Path, name: str, **project: Any) -> base_model.BaseModel:
    values = {"model": {"name": name}, "project": project}
    context = Context(Workspace(root), config.validate(values), Console(quiet=True))
    return base_model.resolve(context)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(BASE, tmp_path / "root" / "models" / "base")
    return tmp_path / "root"


def test_a_folder_of_the_workspace(root: Path) -> None:
    found = resolve(root, "models/base")
    assert found.folder == root / "models" / "base"
    assert "models/base/model.safetensors" in found.files()
    assert "models/base/tokenizer.json" in found.tokenizer_files()
    assert "models/base/model.safetensors" not in found.tokenizer_files()


def test_a_folder_outside_needs_to_be_allowed(root: Path, tmp_path: Path) -> None:
    shutil.move(root / "models" / "base", tmp_path / "elsewhere")
    outside = str(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="outside the workspace"):
        resolve(root, outside)
    assert resolve(root, outside, allowed_paths=[outside]).folder == tmp_path / "elsewhere"


def test_code_in_the_model_is_refused_and_never_run(root: Path) -> None:
    folder = root / "models" / "base"
    (folder / "modeling_evil.py").write_text(f"open({str(root / 'canary')!r}, 'w')")
    values = json.loads((folder / "config.json").read_text())
    values["auto_map"] = {"AutoModelForCausalLM": "modeling_evil.Evil"}
    (folder / "config.json").write_text(json.dumps(values))
    with pytest.raises(FactoryError, match="auto_map"):
        resolve(root, "models/base")
    assert not (root / "canary").exists()


@pytest.mark.parametrize(
    ("file", "added", "key"),
    [
        (
            "tokenizer_config.json",
            {"auto_map": {"AutoTokenizer": ["evil.Tokenizer", None]}},
            "auto",
        ),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "evil.Processor"}}, "auto_map"),
        ("config.json", {"custom_pipelines": {"x": {"impl": "evil.P"}}}, "custom_pipelines"),
        ("config.json", {"attn_implementation": "evil/kernel"}, "attn_implementation"),
        ("config.json", {"text_config": {"_attn_implementation": "evil/kernel@main"}}, "attn"),
    ],
)
def test_code_by_any_other_key_is_refused(
    root: Path, file: str, added: dict[str, Any], key: str
) -> None:
    path = root / "models" / "base" / file
    values = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(values | added))
    with pytest.raises(FactoryError, match=rf"its own Python code \(.*{key}.* in {file}"):
        resolve(root, "models/base")


def test_pickled_weights_are_refused(root: Path) -> None:
    folder = root / "models" / "base"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="safetensors"):
        resolve(root, "models/base")


@pytest.mark.parametrize(
    "name", ["models/bas", "../base", "x" * 5000, "a\0b", "$(touch canary)", "data", "q" * 300]
)
def test_what_is_no_model_says_so(root: Path, name: str) -> None:
    (root / "data").mkdir()
    with pytest.raises(ConfigError) as raised:
        resolve(root, name)
    assert raised.value.where == "model.name"
