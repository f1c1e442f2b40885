"""`factory init`: a workspace with what was chosen and nothing else."""

import json
from pathlib import Path

import pytest

from factory import Workspace, init
from factory.errors import ConfigError


def written(folder: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads((folder / "training-config.json").read_text())
    return values


def test_a_preset_with_a_project_name_keeps_it(tmp_path: Path) -> None:
    init.make(tmp_path / "ws", preset="aj-mixed-h200", model="models/base")
    assert Workspace(tmp_path / "ws").config().project.name == "AJ"


def test_the_file_holds_only_what_was_chosen(tmp_path: Path) -> None:
    init.make(tmp_path / "ws")
    assert written(tmp_path / "ws") == {
        "model": {"name": "models/base"},
        "project": {"name": "ws"},
    }
    assert (tmp_path / "ws" / "models" / "base" / "model.safetensors").is_file()


def test_a_preset_brings_its_own_base_model(tmp_path: Path) -> None:
    init.make(tmp_path / "ws", preset="oracle-rauru-mac", name="rauru")
    assert written(tmp_path / "ws") == {
        "preset": "oracle-rauru-mac",
        "project": {"name": "rauru"},
    }
    assert Workspace(tmp_path / "ws").config().model.name == "Qwen/Qwen2.5-Coder-1.5B"
    assert not (tmp_path / "ws" / "models" / "base").exists()


@pytest.mark.parametrize(
    ("preset", "files"),
    [
        (None, ["sample.jsonl"]),
        ("mtg-teach", ["teach_examples.jsonl"]),
        (
            "mtg-all",
            [
                "explain_examples.jsonl",
                "predict_examples.jsonl",
                "reason_examples.jsonl",
                "retrospect_examples.jsonl",
                "teach_examples.jsonl",
            ],
        ),
        ("oracle-sheik-cloud", ["test.jsonl", "train.jsonl", "val.jsonl"]),
    ],
)
def test_samples_lie_where_the_preset_reads(
    tmp_path: Path, preset: str | None, files: list[str]
) -> None:
    init.make(tmp_path / "ws", preset=preset, sample=True)
    raw = tmp_path / "ws" / "data" / "raw"
    assert sorted(path.name for path in raw.iterdir()) == files


def test_samples_of_a_mix_have_its_shares(tmp_path: Path) -> None:
    init.make(tmp_path / "ws", preset="aj-mixed-h200", model="models/base", sample=True)
    raw = tmp_path / "ws" / "data" / "raw"
    rows = {path.parent.name: len(path.read_text().splitlines()) for path in raw.rglob("*.jsonl")}
    assert rows == {
        "conversation": 120,
        "knowledge": 36,
        "agent": 36,
        "apothecary": 24,
        "strategy": 24,
    }
    Workspace(tmp_path / "ws").run("format", quiet=True)
    report = json.loads((tmp_path / "ws" / "metrics" / "dataset.json").read_text())
    assert sum(split["rows"] for split in report["splits"].values()) == 240


def test_a_wrong_preset_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'mtg-teach'"):
        init.make(tmp_path / "ws", preset="mtg-teech")
    assert not (tmp_path / "ws").exists()


def test_the_demo_is_no_preset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--demo"):
        init.make(tmp_path / "ws", demo=True, preset="mtg-teach")
