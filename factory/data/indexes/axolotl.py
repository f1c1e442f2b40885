"""Axolotl's `datasets:` (its `docs/dataset-formats` and `utils/schemas/datasets.py`)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from factory.config import HUB_ID
from factory.data.containers import reader_of
from factory.data.indexes.refusal import Refused, refuse, require_known, require_table

Values = dict[str, Any]

_CHAT, _SHAREGPT = ("chat_template",), ("sharegpt", "sharegpt_simple")
# The types of one question and one answer: format, and columns where they are not the usual ones.
_SINGLE: dict[str, Values] = {
    "alpaca": {"format": "alpaca"},
    "gpteacher": {"columns": {"instruction": "instruction", "output": "response"}},
    "alpaca_chat.load_qa": {"columns": {"user": "question", "assistant": "answer"}},
}
_SHARDS = "a part of a data set: draw rows with dataset.mix and max_samples"
_REFUSED = {
    "shards": _SHARDS,
    "shards_idx": _SHARDS,
    "message_field_training_detail": "a turn is trained or it is not: message_field_training",
    "drop_system_message": "system turns are kept: they are what the model will be given",
    "trust_remote_code": "code of a data set is never run",
    "logprobs_field": "distillation is not done here",
    "temperature": "distillation is not done here",
    "input_transform": "code of a data set is never run",
}
# Of the rendering, which is the model's here, and of the preparation: rows read the same.
_WITHOUT_EFFECT = (
    "chat_template",
    "chat_template_jinja",
    "conversation",
    "ds_type",
    "preprocess_shards",
    "split_thinking",
    "template_thinking_key",
)
_FIELDS = (
    *_REFUSED,
    *_WITHOUT_EFFECT,
    *("path", "name", "split", "data_files", "revision", "type"),
    *("roles", "roles_to_train", "train_on_eos"),
    *("field_messages", "field_system", "field_tools", "field_thinking"),
    *("message_property_mappings", "message_field_role", "message_field_content"),
    "message_field_training",
)
_PROPERTIES = ("role", "content", "tool_calls", "reasoning_content")
_CUSTOM = {
    "field_system": "system",
    "field_instruction": "instruction",
    "field_input": "input",
    "field_output": "output",
}
_PLAIN_PROMPT = "{instruction}\n{input}"
_FILES = ("json", "jsonl", "csv", "parquet", "arrow", "text")  # `path: json` means data_files


def is_index(name: str) -> bool:
    """Whether a file of this name may hold such a list."""
    return PurePosixPath(name).suffix in (".yaml", ".yml")


def sources(entries: list[Any], exists: Callable[[str], bool]) -> list[Values]:
    """The data sets as sources; `exists` tells whether a path is a file or folder here."""
    found: list[Values] = []
    for number, raw in enumerate(entries):
        place = f"datasets[{number}]"
        entry = require_table(raw, place)
        require_known(entry, _FIELDS, place)
        refuse(entry, _REFUSED, place)
        _require_usual_training(entry, place)
        how = _rows(entry, place)
        found += [where | how for where in _places(entry, place, exists)]
    return found


def _require_usual_training(entry: Values, place: str) -> None:
    """What is trained here is each turn of the assistant, with its end."""
    if entry.get("roles_to_train", ["assistant"]) not in (["assistant"], ["gpt"]):
        raise Refused(f"{place}.roles_to_train", "the assistant's turns are trained, and no others")
    if entry.get("train_on_eos", "turn") != "turn":
        raise Refused(f"{place}.train_on_eos", "the end of each trained turn is trained (turn)")


def _places(entry: Values, place: str, exists: Callable[[str], bool]) -> list[Values]:
    """Where the rows are: files here, or a data set on Hugging Face."""
    path = entry.get("path")
    if not isinstance(path, str):
        raise Refused(f"{place}.path", "is needed")
    if "://" in path:
        raise Refused(f"{place}.path", "not a path here: download it")
    files = entry.get("data_files", [])
    files = [files] if isinstance(files, str) else list(files)
    if path in _FILES and files:
        return [{"path": name} for name in files]
    if exists(path) or reader_of(Path(path)) or not HUB_ID.match(path):
        for key in ("name", "revision"):
            if key in entry:
                raise Refused(f"{place}.{key}", "goes with a data set on Hugging Face")
        if entry.get("split", "train") != "train":
            raise Refused(f"{place}.split", "a file has none")
        return [{"path": f"{path.rstrip('/')}/{name}"} for name in files] or [{"path": path}]
    asked = {"revision": entry.get("revision"), "subset": entry.get("name"), "data_files": files}
    given = {key: value for key, value in asked.items() if value}
    return [{"hub": path, "split": entry.get("split", "train"), **given}]


def _rows(entry: Values, place: str) -> Values:
    """How the rows are to be read."""
    kind = entry.get("type", "chat_template")
    if isinstance(kind, dict):
        return _custom(require_table(kind, f"{place}.type"), f"{place}.type")
    if kind in _CHAT:
        return _turns(entry, place, "messages", "role", "content")
    if kind in _SHAREGPT:
        return _turns(entry, place, "conversations", "from", "value")
    if kind in _SINGLE:
        return _SINGLE[kind]
    known = ", ".join((*_CHAT, *_SHAREGPT[:1], *_SINGLE))
    raise Refused(f"{place}.type", f"{kind!r} has no counterpart here ({known} have)")


def _turns(entry: Values, place: str, messages: str, role: str, content: str) -> Values:
    named = require_table(
        entry.get("message_property_mappings", {}), f"{place}.message_property_mappings"
    )
    require_known(named, _PROPERTIES, f"{place}.message_property_mappings")
    columns = {
        "messages": entry.get("field_messages", messages),
        "role": entry.get("message_field_role", role),
        "content": entry.get("message_field_content", content),
        **named,
    }
    given = {
        "system": "field_system",
        "tools": "field_tools",
        "reasoning_content": "field_thinking",
        "train": "message_field_training",
    }
    columns |= {ours: entry[key] for ours, key in given.items() if key in entry}
    return {"columns": columns, "roles": _roles(entry, place)}


def _roles(entry: Values, place: str) -> Values:
    roles = require_table(entry.get("roles", {}), f"{place}.roles")
    require_known(roles, ("system", "user", "assistant", "tool"), f"{place}.roles")
    return roles


def _custom(kind: Values, place: str) -> Values:
    """A prompt of one's own: its columns; the text around them is the model's template."""
    require_known(
        kind, (*_CUSTOM, "system_prompt", "system_format", "format", "no_input_format"), place
    )
    if kind.get("format", _PLAIN_PROMPT) != _PLAIN_PROMPT:
        raise Refused(f"{place}.format", "set dataset.prompt_template to this text")
    if kind.get("system_prompt"):
        raise Refused(f"{place}.system_prompt", "set dataset.system_prompt to this text")
    columns = {ours: kind[theirs] for theirs, ours in _CUSTOM.items() if theirs in kind}
    if "instruction" not in columns or "output" not in columns:
        raise Refused(place, "it needs field_instruction and field_output")
    return {"columns": columns}
