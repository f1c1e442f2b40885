"""The committed base model: loads, speaks its chat template, and is the recorded one."""

from __future__ import annotations

import json
import re
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import build_base_model
import pytest
from base_model.corpus import Conversation, all_text, conversations
from base_model.tokenizer import MARKUP, PAD, TURN_END

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "models" / "base"
DIM = {
    "type": "function",
    "function": {
        "name": "lamp.dim",
        "description": "Make it darker",
        "parameters": {
            "type": "object",
            "properties": {
                "level": {"type": "integer"},
                "color": {"type": "string"},
                "room": {"type": "string", "enum": ["hall", "attic"]},
                "steps": {"type": "array", "items": {"type": "integer"}},
            },
            "required": ["level"],
        },
    },
}
TEXTS = (
    "Plain English, with punctuation: (brackets), \"quotes\" and 'ticks'.",
    "$7EF36D 0x00FF #$05 LDA $0DD0,X : STA $7E0010",
    "naïve café Łódź Привет 日本語 한국어 العربية 😀 e\u0301",
    "tabs\tand\nnew\r\nlines   and   runs of spaces  ",
    "",
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(BASE)


@pytest.fixture(scope="module")
def model() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(BASE)


def render(tokenizer: Any, messages: list[dict[str, Any]], **options: Any) -> str:
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    assert isinstance(text, str)
    return text


def call(arguments: Any) -> dict[str, Any]:
    function = {"name": "lamp.dim", "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


def sample(count: int) -> list[Conversation]:
    return list(islice(conversations(Random(0), progress=1.0), count))


# --- files ------------------------------------------------------------------------------------


def test_files_are_the_recorded_ones() -> None:
    assert build_base_model.check(BASE) == []


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    names = (*build_base_model.RECORDED_FILES, build_base_model.RECORD)
    for name in names:
        (tmp_path / name).write_bytes((BASE / name).read_bytes())
    with (tmp_path / "model.safetensors").open("r+b") as weights:
        weights.seek(-1, 2)
        weights.write(b"\x7f")
    (tmp_path / "config.json").unlink()
    assert build_base_model.check(tmp_path) == ["model.safetensors", "config.json"]


def test_folder_is_under_ten_megabytes() -> None:
    assert sum(path.stat().st_size for path in BASE.iterdir()) < 10_000_000


def test_folder_holds_nothing_executable_or_pickled() -> None:
    suffixes = {path.suffix for path in BASE.iterdir()}
    assert suffixes <= {".json", ".jinja", ".md", ".safetensors"}
    assert "auto_map" not in (BASE / "config.json").read_text("utf-8")


def test_card_states_the_recorded_facts() -> None:
    card = (BASE / "README.md").read_text("utf-8")
    record = json.loads((BASE / build_base_model.RECORD).read_text("utf-8"))
    assert record["sha256"]["model.safetensors"] in card
    assert f"--steps {record['recipe']['steps']}" in card
    assert "apache-2.0" in card


# --- model ------------------------------------------------------------------------------------


def test_weights_are_finite(model: Any) -> None:
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())


def test_widths_suit_k_quants(model: Any) -> None:
    """llama.cpp's K-quants work on blocks of 256 weights of one row."""
    assert all(p.shape[-1] % 256 == 0 for name, p in model.named_parameters() if p.ndim == 2)


def test_context_and_special_tokens(model: Any, tokenizer: Any) -> None:
    assert model.config.max_position_embeddings >= 2048
    assert tokenizer.eos_token == TURN_END and tokenizer.pad_token == PAD
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.config.vocab_size == len(tokenizer)


@pytest.mark.parametrize("text", ["tavoke_21", "$3FA0", "lamp"])
def test_it_learned_to_copy_and_to_stop(model: Any, tokenizer: Any, text: str) -> None:
    prompt = render(
        tokenizer, [{"role": "user", "content": f"Repeat: {text}"}], add_generation_prompt=True
    )
    inputs = tokenizer(prompt, return_tensors="pt")
    output = model.generate(**inputs, max_new_tokens=20)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(output) == text + TURN_END


# --- tokenizer --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", TEXTS)
def test_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_hex_and_digits_are_one_token_each(tokenizer: Any) -> None:
    assert tokenizer.tokenize("7EF36D1998") == list("7EF36D1998")


def test_a_word_has_the_same_tokens_after_a_space_a_quote_and_a_slash(tokenizer: Any) -> None:
    for word in ("palette", "kitchen", "tavoke"):
        tokens = tokenizer.tokenize(word)
        for before in (" ", '"', "/", "_", "."):
            assert tokenizer.tokenize(before + word)[-len(tokens) :] == tokens


def test_english_takes_few_tokens(tokenizer: Any) -> None:
    text = "The old man walked along the river and thought about the letter from his sister."
    assert len(tokenizer.encode(text)) < 3 * len(text.split())


def test_tool_markup_is_kept_when_special_tokens_are_skipped(tokenizer: Any) -> None:
    for token in MARKUP:
        ids = tokenizer.encode(token)
        assert len(ids) == 1 and tokenizer.decode(ids, skip_special_tokens=True) == token


# --- chat template ----------------------------------------------------------------------------


def test_template_lists_tools_as_signatures(tokenizer: Any) -> None:
    text = render(
        tokenizer,
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Dim it."}],
        tools=[DIM],
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>system\nBe brief.\nTools:\n"
        'lamp.dim(level:integer,color?,room?:hall|attic,steps?:{"type": "array", "items": '
        '{"type": "integer"}}) # Make it darker<|im_end|>\n'
        "<|im_start|>user\nDim it.<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_template_writes_calls_and_results(tokenizer: Any) -> None:
    text = render(
        tokenizer,
        [
            {"role": "user", "content": "Dim it."},
            call({"level": 3, "room": "hall"}),
            {"role": "tool", "content": "ok"},
            {"role": "tool", "content": "done"},
            {"role": "assistant", "content": "It is darker."},
        ],
    )
    assert text == (
        "<|im_start|>user\nDim it.<|im_end|>\n"
        "<|im_start|>assistant\n<tool_call>\n"
        '{"name": "lamp.dim", "arguments": {"level": 3, "room": "hall"}}\n'
        "</tool_call><|im_end|>\n"
        "<|im_start|>user\n<tool_response>\nok\n</tool_response>\n"
        "<tool_response>\ndone\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\nIt is darker.<|im_end|>\n"
    )


def test_calls_round_trip(tokenizer: Any) -> None:
    arguments = {"level": 3, "room": 'the "old" \\ hall — ü', "on": True, "none": None}
    for given in (arguments, json.dumps(arguments)):
        text = render(tokenizer, [{"role": "user", "content": "Go."}, call(given)])
        written = re.search(r"<tool_call>\n(.*)\n</tool_call>", text)
        assert written
        assert json.loads(written[1]) == {"name": "lamp.dim", "arguments": arguments}


def test_template_takes_bare_tools_without_parameters(tokenizer: Any) -> None:
    text = render(tokenizer, [{"role": "user", "content": "Go."}], tools=[{"name": "go"}])
    assert text.startswith("<|im_start|>system\nTools:\ngo()<|im_end|>\n<|im_start|>user")


# --- pre-training text ------------------------------------------------------------------------


def test_only_what_the_assistant_says_is_learned(tokenizer: Any) -> None:
    messages = [
        {"role": "user", "content": "Say assistant"},
        {"role": "assistant", "content": "assistant"},
    ]
    ids = tokenizer.encode(render(tokenizer, messages))
    start, end, role = tokenizer.convert_tokens_to_ids(["<|im_start|>", TURN_END, "assistant"])
    marks = build_base_model.spoken_by_assistant(ids, start, end, role)
    spoken = [token for token, mark in zip(ids, marks, strict=True) if mark]
    assert tokenizer.decode(spoken) == f"\nassistant{TURN_END}"


def test_the_same_recipe_gives_the_same_bytes(tmp_path: Path) -> None:
    import torch

    recipe = build_base_model.Recipe(seed=1, steps=2, tokens_per_step=256)
    threads = torch.get_num_threads()
    try:
        for name in ("first", "second"):
            build_base_model.build(tmp_path / name, recipe)
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(False)
    for name in build_base_model.RECORDED_FILES:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    assert build_base_model.check(tmp_path / "first") == []


def test_pre_training_text_is_reproducible() -> None:
    assert sample(50) == sample(50)


def test_no_request_in_english_is_answered_with_a_tool_call() -> None:
    """Calling tools is what fine-tuning teaches: pre-training only transcribes calls."""
    for item in sample(2000):
        for question, answer in zip(item.messages, item.messages[1:], strict=False):
            for made in answer.get("tool_calls", []):
                assert f"{made['function']['name']}(" in question["content"]


def test_the_demo_is_not_in_the_pre_training_text() -> None:
    from demo_data.specialists import load_phrasebook

    specialists = load_phrasebook().specialists
    tools = [tool for specialist in specialists for tool in specialist.tools]
    parameters = {item.name for tool in tools for item in tool.parameters}
    for item in sample(2000):
        text = all_text(item)
        assert not any(f"{specialist.name}." in text for specialist in specialists)
        for tool in item.tools or []:
            assert parameters.isdisjoint(tool["function"]["parameters"]["properties"])
