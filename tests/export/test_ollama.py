"""Our Go templates against the real Jinja templates of the models they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from factory.export import ollama
from factory.export.proof_worker import renderer
from factory.kit import require

ROOT = Path(__file__).parents[2]
LLAMA_3 = """\
{{- bos_token }}{% for message in messages %}<|start_header_id|>{{ message.role }}\
<|end_header_id|>\n\n{{ message.content | trim }}<|eot_id|>{% endfor %}\
{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"""
MISTRAL = """\
{% for message in messages %}{% if message.role == 'user' %}[INST] {{ message.content }} [/INST]\
{% elif message.role == 'assistant' %} {{ message.content }}</s>\
{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}"""

# Both write the system message into the first user turn.
MISTRAL_WITH_SYSTEM = """\
{% if messages[0].role == 'system' %}{% set system = messages[0].content + '\n\n' %}\
{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}\
{% for message in messages %}{% if message.role == 'user' %}\
[INST] {{ system if loop.first else '' }}{{ message.content }} [/INST]\
{% else %} {{ message.content }}</s>{% endif %}{% endfor %}"""
GEMMA_3 = """\
{% if messages[0].role == 'system' %}{% set system = messages[0].content + '\n\n' %}\
{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}\
{% for message in messages %}<start_of_turn>\
{{ 'model' if message.role == 'assistant' else message.role }}\n\
{{ system if loop.first else '' }}{{ message.content | trim }}<end_of_turn>\n{% endfor %}\
{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(ROOT / "models" / "base")


def rendering(tokenizer: Any, template: str) -> ollama.Render:
    """How a model with this Jinja template renders."""
    import copy

    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    if "[INST]" in template:
        changed.eos_token = "</s>"  # Mistral's, which its template writes behind answers
    return renderer(changed)


def real(name: str) -> str:
    return (require().templates / f"{name}.jinja").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "family", "default_system"),
    [
        ("Qwen-Qwen2.5-7B-Instruct", "chatml-tools", "You are Qwen, created by Alibaba Cloud."),
        ("Qwen-Qwen3-0.6B", "chatml-tools", None),
        ("LFM2-8B-A1B", "chatml", None),
        ("google-gemma-2-2b-it", "gemma", None),
        ("mistralai-Mistral-Nemo-Instruct-2407", "mistral-nemo", None),
        ("microsoft-Phi-3.5-mini-instruct", "phi-3", None),
    ],
)
def test_real_templates_find_their_family(
    tokenizer: Any, name: str, family: str, default_system: str | None
) -> None:
    render = rendering(tokenizer, real(name))
    found = ollama.match(render)
    assert found.family is not None and found.family.name == family, found.reason
    system = ollama.system_text(render, [], None)
    assert system == default_system or (system or "").startswith(default_system or "?")


@pytest.mark.parametrize(
    "name",
    [
        "meta-llama-Llama-3.2-3B-Instruct",  # writes today's date
        "deepseek-ai-DeepSeek-V3.1",
        "openai-gpt-oss-120b",
        "Qwen-QwQ-32B",  # opens the answer with <think>
        "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",  # goes through tools without any
    ],
)
def test_an_unknown_template_is_not_guessed_at(tokenizer: Any, name: str) -> None:
    found = ollama.match(rendering(tokenizer, real(name)))
    assert found.family is None
    assert "no TEMPLATE" in found.reason


@pytest.mark.parametrize(
    ("template", "family"),
    [
        (LLAMA_3, "llama-3"),
        (MISTRAL, "mistral"),
        (MISTRAL_WITH_SYSTEM, "mistral"),
        (GEMMA_3, "gemma"),
    ],
)
def test_plain_templates_of_other_families(tokenizer: Any, template: str, family: str) -> None:
    found = ollama.match(rendering(tokenizer, template))
    assert found.family is not None and found.family.name == family


def test_the_demos_template_matches_without_its_tool_signatures(tokenizer: Any) -> None:
    found = ollama.match(renderer(tokenizer))
    assert found.family is not None and found.family.name == "chatml"
    assert found.tools == "not supported"


@pytest.mark.parametrize("probe", ollama.CHAT_PROBES, ids=lambda probe: probe.name)
def test_the_demos_prompts_are_equal_character_for_character(
    tokenizer: Any, probe: ollama.Probe
) -> None:
    [family] = [one for one in ollama.FAMILIES if one.name == "chatml"]
    wanted = renderer(tokenizer)(probe.messages, None)
    assert family.render(probe.messages, None, None) == wanted


@pytest.mark.parametrize("probe", ollama.TOOL_PROBES, ids=lambda probe: probe.name)
def test_the_demos_tools_are_equal_when_they_stand_in_system(
    tokenizer: Any, probe: ollama.Probe
) -> None:
    """What the Modelfile proposes: the tool signatures as the SYSTEM text."""
    render = renderer(tokenizer)
    system = ollama.system_text(render, probe.messages, probe.tools)
    [family] = [one for one in ollama.FAMILIES if one.name == "chatml"]
    messages = [message for message in probe.messages if message["role"] != "system"]
    # Ollama passes calls on as text to a template that has no tools.
    spoken = [
        {**message, "content": CALL_TEXT} if message.get("tool_calls") else message
        for message in messages
    ]
    assert family.render(spoken, None, system) == render(probe.messages, probe.tools)


CALL_TEXT = (
    '<tool_call>\n{"name": "lamp_dim", "arguments": {"level": 3, "room": "hall"}}\n</tool_call>'
)


def test_the_system_text_of_a_row_holds_its_tool_signatures(tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "You run the lamps."}]
    found = ollama.system_text(renderer(tokenizer), messages, [ollama.LAMP])
    assert found is not None
    assert found.startswith("You run the lamps.\nTools:\nlamp_dim(")


def test_rows_are_counted_by_their_system_text(tokenizer: Any) -> None:
    def row(system: str | None) -> Any:
        first = [] if system is None else [{"role": "system", "content": system}]
        return {"id": "1", "source": "x", "conversations": [*first, *ollama.CHAT]}

    rows = [row("A"), row("B"), row("A"), row(None)]
    found = ollama.system_texts(renderer(tokenizer), None, rows)
    assert dict(found) == {"A": 2, "B": 1, None: 1}


def test_json_is_compared_by_value_and_text_by_character() -> None:
    same = ollama.by_value
    assert same('a {"x": 1, "y": [2]} b') == same('a {"y":[2],"x":1} b')
    assert same('{"x": 1}') != same('{"x": 2}')
    assert same("{not json}  ") == "{not json}  "
