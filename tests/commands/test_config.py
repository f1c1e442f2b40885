"""`factory config`: show, why, validate, diff, migrate."""

import json
from pathlib import Path

import pytest

from factory.cli import main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    values = {"preset": "oracle-rauru-mac", "training": {"learning_rate": 1e-4}}
    (tmp_path / "training-config.json").write_text(json.dumps(values))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: Captured, *words: str, code: int = 0) -> dict[str, object]:
    assert main([*words, "--json"]) == code
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_show_prints_what_was_given(root: Path, capsys: Captured) -> None:
    assert main(["config", "show"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["model"] == {"name": "Qwen/Qwen2.5-Coder-1.5B", "max_seq_length": 1024}
    assert "evaluation" not in shown


def test_resolved_says_where_each_value_is_from(root: Path, capsys: Captured) -> None:
    shown = answer(capsys, "config", "show", "--resolved", "--set", "lora.r=2")
    assert shown["lora.r"] == {"value": 2, "layer": "command line"}
    assert shown["training.learning_rate"] == {"value": 1e-4, "layer": "training-config.json"}
    assert shown["training.seed"] == {"value": 3407, "layer": "defaults"}
    assert shown["model.name"] == {
        "value": "Qwen/Qwen2.5-Coder-1.5B",
        "layer": "expert oracle-rauru-assembler",
    }


def test_why_tells_the_history_of_one_field(root: Path, capsys: Captured) -> None:
    assert main(["config", "show", "--why", "training.learning_rate"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "  defaults: 0.0002",
        "  hyperparameters default: 0.0002",
        "* training-config.json: 0.0001",
    ]


def test_what_fit_lowered_is_told(root: Path, capsys: Captured) -> None:
    words = ("config", "show", "--why", "lora.r", "--set", "lora.r=64", "--fit")
    values = answer(capsys, *words)["values"]
    assert values[-2:] == [  # type: ignore[index]
        {"layer": "command line", "value": 64},
        {"layer": "fit", "value": 8},
    ]


def test_validate_checks_presets_too(root: Path, capsys: Captured) -> None:
    assert answer(capsys, "config", "validate")["valid"] is True
    (root / "presets.toml").write_text("[presets.mine]\nlora = 3\n")
    assert answer(capsys, "config", "validate", code=2)["error"] == "ConfigError"


def test_diff_compares_files_workspaces_and_presets(root: Path, capsys: Captured) -> None:
    differing = answer(capsys, "config", "diff", "oracle-rauru-mac", ".")
    assert differing == {"training.learning_rate": {"a": 2e-4, "b": 1e-4}}
    assert main(["config", "diff", ".", "training-config.json"]) == 0
    assert "no difference" in capsys.readouterr().out


def test_migrate_writes_a_file_that_loads(root: Path, capsys: Captured) -> None:
    (root / "old.yaml").write_text(
        "base_model: models/base\nmicro_batch_size: 3\nsequence_len: 128\nadapter: lora\nxyz: 1\n"
    )
    (root / "training-config.json").unlink()
    assert main(["config", "migrate", "old.yaml", "--output", "training-config.json"]) == 0
    told = capsys.readouterr().out
    assert "from Axolotl: 4 values" in told
    assert "xyz" in told
    shown = answer(capsys, "config", "show", "--resolved")
    assert shown["training.per_device_train_batch_size"]["value"] == 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "--why", "lora"], "lora.r, lora.lora_alpha"),
        (["show", "--why", "lorra"], "did you mean 'lora'"),
        (["diff", "gemma-3-4", "."], "no file and no folder either: no preset 'gemma-3-4'"),
        (["validate", "--set", "lora=3"], "lora: is a section"),
        (["validate", "--set", "project.release_name=x"], "release_name: it needs {version}"),
    ],
)
def test_a_mistake_is_one_message(
    root: Path, capsys: Captured, words: list[str], said: str
) -> None:
    assert main(["config", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_verb_is_needed(root: Path, capsys: Captured) -> None:
    assert main(["config"]) == 2
    assert main(["config", "shw"]) == 2
    assert "did you mean 'show'" in capsys.readouterr().err
