"""`factory presets`: lists, one in full, suggestions."""

import json
from pathlib import Path

import pytest

from factory import presets
from factory.cli import main
from factory.commands.presets import KINDS

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_every_kind_is_listed(kind: str | None, capsys: Captured) -> None:
    words = ["presets", *([f"--{kind}"] if kind else [])]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == presets.load().names(kind or "presets")
    assert all(name in table for name in listed)


def test_a_workspaces_own_are_listed_too(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "presets.toml").write_text('[presets.mine]\nlora = "full"\n')
    assert main(["presets", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mine"] == {"lora": "full"}


def test_one_preset_in_full_with_its_memory(capsys: Captured) -> None:
    assert main(["presets", "gemma-3-4b", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["resolved"]["model"]["name"] == "unsloth/gemma-3-4b-it"
    assert 4 < shown["memory"]["phases_gb"]["training"] < 6
    assert main(["presets", "--hardware", "mac-mps"]) == 0
    assert "max_lora_rank: 8" in capsys.readouterr().out
    assert main(["presets", "--hardware", "mac-mps", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["hardware"], shown["name"]) == ("mac-mps", "Mac M1/M2/M3 with MPS")


def test_suggestions_are_ranked(capsys: Captured) -> None:
    assert main(["presets", "suggest", "--json"]) == 0
    fits = [found["fits"] for found in json.loads(capsys.readouterr().out)["presets"]]
    assert fits == sorted(fits, reverse=True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gemma-3-4"], "did you mean 'gemma-3-4b'"),
        (["--hardware", "mac-mp"], "did you mean 'mac-mps'"),
        (["--hardwar"], "did you mean '--hardware'"),
        (["--lora", "--experts"], "not allowed with"),
        (["suggest", "--lora"], "leave out --lora"),
    ],
)
def test_a_mistake_is_one_message(words: list[str], message: str, capsys: Captured) -> None:
    assert main(["presets", *words]) == 2
    assert message in capsys.readouterr().err
