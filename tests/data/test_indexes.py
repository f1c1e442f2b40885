"""Lists of data sets of other tools: `dataset_info.json` and Axolotl's `datasets:`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from factory import config
from factory.config import Source
from factory.console import Console
from factory.context import Context
from factory.data import formats, indexes, mapping, sources
from factory.errors import ConfigError, DataError
from factory.workspace import Workspace

TURNS = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
CALL = '{"name": "add", "arguments": {"a": 1}}'


def table(folder: Path, text: str, name: str, entries: list[str] | None = None) -> list[Source]:
    """The sources that a list with this text means."""
    (folder / name).write_text(text)
    source = Source(path=name, entries=entries or [])
    return indexes.read(source, folder / name, lambda path: (folder / path).exists())


def llamafactory(folder: Path, **entry: Any) -> Source:
    (found,) = table(folder, json.dumps({"mine": entry}), "dataset_info.json")
    return found


def axolotl(folder: Path, **entry: Any) -> list[Source]:
    return table(folder, yaml.safe_dump({"datasets": [entry]}), "run.yaml")


def read(source: Source, row: dict[str, Any]) -> Any:
    """The turns of one row, as the source says."""
    found = mapping.of(source.columns, source.roles, source.format)
    renamed = found.row(row) if found else row
    name = (found and found.format) or source.format or formats.format_of(renamed)
    return formats.READERS[str(name)](renamed)


# Rows and settings of LLaMA-Factory's data/README.md.
LLAMA_FACTORY = [
    ({}, {"instruction": "Hi", "output": "Hello", "system": "not read"}),
    (
        {"columns": {"prompt": "q", "query": "more", "response": "a", "system": "s"}},
        {"q": "Hi", "more": "", "a": "Hello", "s": ""},
    ),
    (
        {"columns": {"prompt": "content", "response": "summary"}},
        {"content": "Hi", "summary": "Hello", "input": "not read"},
    ),
    (
        {
            "ranking": True,
            "columns": {"prompt": "q", "query": "more", "chosen": "good", "rejected": "bad"},
        },
        {"q": "Hi", "more": "", "good": "Hello", "bad": "No"},
    ),
    (
        {"formatting": "sharegpt"},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    ),
    (
        {
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
            },
        },
        {"messages": TURNS},
    ),
    (
        {
            "formatting": "openai",
            "columns": {"messages": "log"},
            "tags": {
                "role_tag": "who",
                "content_tag": "said",
                "user_tag": "q",
                "assistant_tag": "a",
            },
        },
        {"log": [{"who": "q", "said": "Hi"}, {"who": "a", "said": "Hello"}]},
    ),
    (
        {
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        },
        {
            "conversations": [{"from": "human", "value": "Hi"}],
            "chosen": {"from": "gpt", "value": "Hello"},
            "rejected": {"from": "gpt", "value": "No"},
        },
    ),
]


@pytest.mark.parametrize(("entry", "row"), LLAMA_FACTORY)
def test_rows_as_llama_factory_reads_them(tmp_path: Path, entry: Any, row: Any) -> None:
    source = llamafactory(tmp_path, file_name="a.json", **entry)
    assert source.path == "a.json"
    assert read(source, row)[0] == TURNS


def test_calls_and_tools_as_llama_factory_reads_them(tmp_path: Path) -> None:
    source = llamafactory(
        tmp_path,
        file_name="a.json",
        formatting="sharegpt",
        columns={"messages": "conversations", "tools": "functions"},
        tags={
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "q",
            "assistant_tag": "a",
            "function_tag": "call",
            "observation_tag": "result",
        },
    )
    named = [("q", "1"), ("call", CALL), ("result", "2"), ("a", "2")]
    turns = [{"from": name, "value": value} for name, value in named]
    messages, tools = read(source, {"conversations": turns, "functions": "[]"})
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["tool_calls"][0]["function"]["name"] == "add"
    assert tools == "[]"


def test_a_data_set_on_the_hub(tmp_path: Path) -> None:
    source = llamafactory(
        tmp_path, hf_hub_url="o/n", ms_hub_url="x/y", subset="en", split="train_sft", revision="v1"
    )
    given = (source.hub, source.subset, source.split, source.revision)
    assert given == ("o/n", "en", "train_sft", "v1")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"script_url": "x"}, "mine.script_url: code of a data set is never run"),
        ({"ms_hub_url": "x/y"}, "mine: only Hugging Face is read"),
        ({"file_name": "a", "num_samples": 5}, "mine.num_samples: draw rows with dataset.mix"),
        ({"file_name": "a", "columns": {"images": "i"}}, "mine.columns.images: only text"),
        ({"file_name": "a", "columns": {"kto_tag": "k"}}, "mine.columns.kto_tag: labels"),
        ({"file_name": "a", "columns": {"prompt": "text"}}, "mine.columns: no response"),
        ({"file_name": "a", "ranking": True}, "mine.columns: a ranking needs chosen"),
        (
            {"file_name": "a", "formatting": "alpacca"},
            "mine.formatting: alpaca, sharegpt or openai",
        ),
        ({"file_name": "a", "subset": "en"}, "mine.subset: a file has none"),
        ({"file_nam": "a"}, "mine.file_nam: unknown field; did you mean 'file_name'?"),
        (
            {"file_name": "a", "columns": {"promt": "q"}},
            "promt: unknown field; did you mean 'prompt'",
        ),
    ],
)
def test_what_llama_factory_has_and_we_do_not_is_refused(
    tmp_path: Path, entry: Any, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        llamafactory(tmp_path, **entry)
    assert message in str(caught.value)


def test_a_name_that_is_not_in_the_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no data set .identiy.; did you mean .identity.\?"):
        table(tmp_path, '{"identity": {}}', "dataset_info.json", ["identiy"])


# Settings of Axolotl's docs/dataset-formats.
AXOLOTL = [
    ({"type": "chat_template"}, {"messages": TURNS}),
    (
        {
            "type": "chat_template",
            "field_messages": "log",
            "message_property_mappings": {"role": "from", "content": "value"},
            "roles": {"user": ["q"], "assistant": ["a", "gpt"]},
            "roles_to_train": ["assistant"],
            "train_on_eos": "turn",
            "chat_template": "chatml",
            "ds_type": "json",
        },
        {"log": [{"from": "q", "value": "Hi"}, {"from": "a", "value": "Hello"}]},
    ),
    (
        {"type": "chat_template", "message_field_role": "who", "message_field_content": "said"},
        {"messages": [{"who": "user", "said": "Hi"}, {"who": "assistant", "said": "Hello"}]},
    ),
    (
        {"type": "sharegpt", "conversation": "chatml"},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
    ),
    ({"type": "alpaca"}, {"instruction": "Hi", "input": "", "output": "Hello"}),
    ({"type": "gpteacher"}, {"instruction": "Hi", "input": "", "response": "Hello"}),
    ({"type": "alpaca_chat.load_qa"}, {"question": "Hi", "answer": "Hello"}),
    (
        {
            "type": {
                "field_instruction": "q",
                "field_output": "a",
                "format": "{instruction}\n{input}",
            }
        },
        {"q": "Hi", "a": "Hello"},
    ),
]


@pytest.mark.parametrize(("entry", "row"), AXOLOTL)
def test_rows_as_axolotl_reads_them(tmp_path: Path, entry: Any, row: Any) -> None:
    (source,) = axolotl(tmp_path, path="a.jsonl", **entry)
    assert source.path == "a.jsonl"
    assert read(source, row)[0] == TURNS


def test_turns_that_axolotl_leaves_out_of_the_loss(tmp_path: Path) -> None:
    (source,) = axolotl(tmp_path, path="a.jsonl", message_field_training="learn")
    turns = [TURNS[0], {**TURNS[1], "learn": False}]
    assert read(source, {"messages": turns})[0][1]["train"] is False


@pytest.mark.parametrize(
    ("entry", "paths"),
    [
        ({"path": "json", "data_files": ["a.jsonl", "b.jsonl"]}, ["a.jsonl", "b.jsonl"]),
        ({"path": "raw", "data_files": "a.jsonl"}, ["raw/a.jsonl"]),
        ({"path": "raw/deep", "split": "train"}, ["raw/deep"]),
        ({"path": "someone/talks"}, ["hf:someone/talks/train"]),
    ],
)
def test_where_axolotl_finds_rows(tmp_path: Path, entry: Any, paths: list[str]) -> None:
    (tmp_path / "raw" / "deep").mkdir(parents=True)
    assert [source.label for source in axolotl(tmp_path, type="alpaca", **entry)] == paths


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"type": "completion"}, "datasets[0].type: 'completion' has no counterpart here"),
        ({"roles_to_train": ["user"]}, "datasets[0].roles_to_train: the assistant's turns"),
        ({"train_on_eos": "all"}, "datasets[0].train_on_eos: the end of each trained turn"),
        ({"shards": 4}, "datasets[0].shards: a part of a data set"),
        ({"message_field_training_detail": "x"}, "a turn is trained or it is not"),
        ({"type": {"field_instruction": "q"}}, "it needs field_instruction and field_output"),
        (
            {"type": {"field_instruction": "q", "field_output": "a", "format": "Q: {instruction}"}},
            "set dataset.prompt_template",
        ),
        ({"path": "s3://bucket/a"}, "datasets[0].path: not a path here"),
        ({"feild_messages": "x"}, "unknown field; did you mean 'field_messages'?"),
        ({"split": "test"}, "datasets[0].split: a file has none"),
    ],
)
def test_what_axolotl_has_and_we_do_not_is_refused(
    tmp_path: Path, entry: Any, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        axolotl(tmp_path, **{"path": "a.jsonl", **entry})
    assert message in str(caught.value)


def test_a_yaml_without_data_sets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run.yaml: datasets: no list of data sets"):
        table(tmp_path, "base_model: x", "run.yaml")


def configured(folder: Path, *given: Any) -> list[sources.SourceFile]:
    settings = config.validate({"dataset": {"sources": list(given)}})
    return sources.configured(Context(Workspace(folder), settings, Console(quiet=True)))


def test_llama_factorys_own_demo_sets(tmp_path: Path, real_data: Path) -> None:
    """Its own list beside its own files: the entries that are here, and a clear no to others."""
    for path in real_data.glob("lf_*"):
        shutil.copy(path, tmp_path / path.name.removeprefix("lf_"))
    path = "dataset_info.json"
    entries = ["identity", "alpaca_en_demo", "alpaca_zh_demo", "glaive_toolcall_en_demo"]
    found = configured(tmp_path, {"path": path, "entries": entries})
    assert [file.name for file in found] == sorted(f"{name}.json" for name in entries)
    tools = next(f for f in found if f.name.startswith("glaive")).reading.mapping
    assert tools is not None and tools.format == "openai"
    with pytest.raises(ConfigError, match=r"mllm_demo.columns.images: only text"):
        configured(tmp_path, {"path": path, "entries": ["mllm_demo"]})
    with pytest.raises(DataError, match="no such file"):
        configured(tmp_path, {"path": path, "entries": ["glaive_toolcall_zh_demo"]})


def test_a_list_in_a_folder_is_not_taken_for_rows(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "dataset_info.json").write_text("{}")
    (tmp_path / "raw" / "a.json").write_text("[]")
    assert [file.name for file in configured(tmp_path, "raw")] == ["raw/a.json"]


def test_a_list_is_not_read_in_another_way(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{}")
    with pytest.raises(ConfigError, match="says itself how"):
        configured(tmp_path, {"path": "dataset_info.json", "format": "alpaca"})
