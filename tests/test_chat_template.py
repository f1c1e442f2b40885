"""Templates by name: Unsloth's texts, refused where the vocabulary lacks their tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from factory import chat_template
from factory import config as configuration
from factory.console import Console
from factory.context import Context
from factory.errors import ConfigError
from factory.training.templates.training_data import Mask, use_template
from factory.workspace import Workspace
from tests.training.test_training_data import (
    ROUNDS,
    TOOL_ROUND,
    WEATHER,
    assistant,
    trained_texts,
    user,
)

BASE = Path(__file__).parents[1] / "models" / "base"
# name -> (end of turn, what is trained of a tool call); read off the templates and typed in.
# Without control tokens of their own, the tokenizer's EOS ends a turn.
EXPECTED: dict[str, tuple[str, str | None]] = {
    "alpaca": ("<|endoftext|>", None),
    "chatml": ("<|im_end|>", None),
    "gemma-3": ("<end_of_turn>", None),
    "llama-3": ("<|eot_id|>", None),
    "llama-3.1": (
        "<|eot_id|>",
        '{"name": "weather", "parameters": {"city": "Oslo"}}<|eot_id|>',
    ),
    "mistral": ("<|endoftext|>", None),
    "phi-4": ("<|im_end|>", None),
    "qwen-2.5": (
        "<|im_end|>",
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>',
    ),
    "qwen-3": (
        "<|im_end|>",
        '<tool_call>\n{"name": "weather", "arguments": {"city": "Oslo"}}\n</tool_call><|im_end|>',
    ),
    "zephyr": ("<|endoftext|>", None),
}
EMPTY_THOUGHT = "<think>\n\n</think>\n\n"


def context_with(folder: Path, template: str | None) -> Context:
    shutil.copytree(BASE, folder / "models" / "base")
    config = configuration.validate({"dataset": {"chat_template": template}})
    return Context(Workspace(folder), config, Console(quiet=True))


def tokenizer_with(name: str) -> Any:
    """A base model's tokenizer: its EOS ends texts, and it has the control tokens."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    control = [*chat_template.NAMED[name], "<|endoftext|>"]
    tokenizer.add_special_tokens({"extra_special_tokens": control})
    tokenizer.eos_token = "<|endoftext|>"
    use_template(tokenizer, chat_template.named(name))
    return tokenizer


def test_every_name_is_expected_here() -> None:
    assert set(EXPECTED) == set(chat_template.NAMED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_end_of_turn_becomes_the_eos(name: str) -> None:
    assert tokenizer_with(name).eos_token == EXPECTED[name][0]


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_trained_under_a_named_template(name: str) -> None:
    end = EXPECTED[name][0]
    row = {"conversations": [{"role": "system", "content": "Be brief."}, *ROUNDS]}
    assert [
        text.removeprefix(EMPTY_THOUGHT) for text in trained_texts(tokenizer_with(name), row)
    ] == [
        f"Hello! I am the assistant.{end}",
        f"Fine.\n\nこんにちは ß{end}",
    ]


@pytest.mark.parametrize("name", [name for name in EXPECTED if EXPECTED[name][1]])
def test_tool_calls_under_a_named_template(name: str) -> None:
    row = {"conversations": TOOL_ROUND, "tools": [WEATHER]}
    call, answer = trained_texts(tokenizer_with(name), row)
    assert call == EXPECTED[name][1]
    assert answer.removeprefix(EMPTY_THOUGHT) == f"3 degrees.{EXPECTED[name][0]}"


@pytest.mark.parametrize("name", EXPECTED)
def test_empty_answers_under_a_named_template(name: str) -> None:
    row = {"conversations": [user("x"), assistant("")]}
    (text,) = trained_texts(tokenizer_with(name), row)
    assert text.removeprefix(EMPTY_THOUGHT) == EXPECTED[name][0]


def test_default_system_messages_are_unsloths() -> None:
    mask = Mask(tokenizer_with("qwen-2.5"))
    assert "You are Qwen, created by Alibaba Cloud." in mask.render([user("x")])
    assert "{system_message}" not in "".join(map(chat_template.named, chat_template.NAMED))


def test_the_texts_are_those_that_unsloth_would_use() -> None:
    """Evaluated without an import; one name is compared with what is typed here from its docs."""
    assert chat_template.named("chatml").startswith(
        "{% for message in messages %}{% if message['role'] == 'user' %}{{'<|im_start|>user\n'"
    )


@pytest.mark.parametrize("name", ["chatml", "qwen-3", "alpaca", "zephyr", "mistral"])
def test_the_tiny_base_takes_what_its_vocabulary_has(name: str, tmp_path: Path) -> None:
    assert chat_template.override(context_with(tmp_path, name)) == chat_template.named(name)


@pytest.mark.parametrize(
    ("name", "token"),
    [("gemma-3", "<start_of_turn>"), ("llama-3", "<|eot_id|>"), ("phi-4", "<|im_sep|>")],
)
def test_tokens_that_the_vocabulary_lacks_are_refused(
    name: str, token: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"vocabulary of models/base lacks") as raised:
        chat_template.override(context_with(tmp_path, name))
    assert token in raised.value.message
    assert raised.value.hint is not None
    assert "chatml" in raised.value.hint


def test_a_typo_names_the_nearest_template(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'qwen-3'"):
        chat_template.override(context_with(tmp_path, "qwen3"))


def test_a_jinja_file_is_an_input_of_the_stages(tmp_path: Path) -> None:
    from factory import pipeline

    context = context_with(tmp_path, "mine.jinja")
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "data/raw/rows.jsonl").write_text("{}")
    (tmp_path / "mine.jinja").write_text("{{ messages }}")
    for stage in ("format", "baseline", "finetune", "evaluate"):
        assert "mine.jinja" in pipeline.find(stage).reads(context)
    assert chat_template.override(context) == "{{ messages }}"


def test_the_text_goes_into_the_script(tmp_path: Path) -> None:
    from tests.training.conftest import make_context, write_script

    context = make_context(tmp_path / "ws", dataset={"chat_template": "qwen-2.5"})
    assert write_script(context)["model"]["chat_template"] == chat_template.named("qwen-2.5")
    written = json.loads((tmp_path / "ws/scripts/train.json").read_text())
    assert written["model"]["chat_template"] == chat_template.named("qwen-2.5")
