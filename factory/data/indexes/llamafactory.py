"""LLaMA-Factory's `dataset_info.json` (its `data/README.md` and `data/parser.py`).

As there: where `columns` are given, those that are not named are not read, and neither are
`system`, `tools` and `history` without being named.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from factory.data.indexes.refusal import Refused, refuse, require_known, require_table

Values = dict[str, Any]
FILE_NAME = "dataset_info.json"

_NO_MEDIA = "only text is trained here"
_NO_OTHER_HUB = "only Hugging Face is read: download the files and give their file_name"
_REFUSED = {
    "script_url": "code of a data set is never run: export it to JSON lines",
    "cloud_file_name": _NO_OTHER_HUB,
    "num_samples": "draw rows with dataset.mix and max_samples",
    "folder": "name the files themselves: a source with hub and data_files",
}
_REFUSED_COLUMNS = {
    "images": _NO_MEDIA,
    "videos": _NO_MEDIA,
    "audios": _NO_MEDIA,
    "kto_tag": "labels of single answers are not learned: keep the good ones in a file",
}
_PLACES = ("file_name", "hf_hub_url", "ms_hub_url", "om_hub_url", *_REFUSED)
_FIELDS = (*_PLACES, "formatting", "ranking", "subset", "split", "revision", "columns", "tags")
_COMMON = {"system": "system", "tools": "tools"}
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output", "history": "history"}
_RANKING = {"chosen": "chosen", "rejected": "rejected"}
_TURNS = {"messages": "messages"}
_TAGS = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function_call",
    "system_tag": "system",
}
_PROPERTIES = {"role_tag": ("role", "from"), "content_tag": ("content", "value")}


def is_index(name: str) -> bool:
    """Whether a file of this name is such a list."""
    return name == FILE_NAME


def sources(values: Values, folder: str) -> list[Values]:
    """The data sets, by name, as sources; files lie in `folder`, beside the list."""
    return [_source(require_table(entry, name), name, folder) for name, entry in values.items()]


def _source(entry: Values, name: str, folder: str) -> Values:
    require_known(entry, _FIELDS, name)
    refuse(entry, _REFUSED, name)
    columns = require_table(entry.get("columns", {}), f"{name}.columns")
    refuse(columns, _REFUSED_COLUMNS, f"{name}.columns")
    formatting = entry.get("formatting", "alpaca")
    found = _place(entry, name, folder)
    if formatting == "alpaca":
        return found | _alpaca(columns, bool(entry.get("ranking")), "columns" in entry, name)
    if formatting in ("sharegpt", "openai"):
        tags = require_table(entry.get("tags", {}), f"{name}.tags")
        return found | _turns(columns, tags, bool(entry.get("ranking")), name)
    raise Refused(f"{name}.formatting", f"alpaca, sharegpt or openai (got {formatting!r})")


def _place(entry: Values, name: str, folder: str) -> Values:
    """Where the rows are: a file beside the list, or a data set on Hugging Face."""
    if "hf_hub_url" in entry:
        asked: Values = {key: entry[key] for key in ("revision", "subset") if key in entry}
        return {"hub": entry["hf_hub_url"], "split": entry.get("split", "train"), **asked}
    if "file_name" not in entry:
        raise Refused(name, _NO_OTHER_HUB)
    for key in ("subset", "revision"):
        if key in entry:
            raise Refused(f"{name}.{key}", "a file has none: it goes with hf_hub_url")
    if entry.get("split", "train") != "train":
        raise Refused(f"{name}.split", "a file has none: it goes with hf_hub_url")
    return {"path": (PurePosixPath(folder) / str(entry["file_name"])).as_posix()}


def _alpaca(columns: Values, ranking: bool, given: bool, name: str) -> Values:
    known = _ALPACA | _COMMON | _RANKING
    require_known(columns, known, f"{name}.columns")
    if ranking:
        _require_sides(columns, name)
        names = {"prompt": "instruction", "query": "input"} | _COMMON | _RANKING
        return {"columns": _renamed(columns, names)}
    if not given:
        return {"format": "alpaca", "columns": {"history": None, "system": None, "tools": None}}
    if "response" not in columns:
        raise Refused(f"{name}.columns", "no response: text without an answer is not trained here")
    return {"columns": _renamed(columns, _ALPACA | _COMMON)}


def _turns(columns: Values, tags: Values, ranking: bool, name: str) -> Values:
    require_known(columns, (*_TURNS, *_COMMON, *_RANKING), f"{name}.columns")
    require_known(tags, (*_TAGS, *_PROPERTIES), f"{name}.tags")
    names = _TURNS | _COMMON
    if ranking:
        _require_sides(columns, name)
        names |= _RANKING
    properties = {ours: tags.get(tag, usual) for tag, (ours, usual) in _PROPERTIES.items()}
    roles = {_TAGS[tag]: [value] for tag, value in tags.items() if tag in _TAGS}
    named = {"messages": "conversations"} | columns
    return {"columns": _renamed(named, names) | properties, "roles": roles}


def _renamed(columns: Mapping[str, Any], names: Mapping[str, str]) -> Values:
    """The columns under our names; null for those that are not read."""
    return {ours: columns.get(theirs) for theirs, ours in names.items()}


def _require_sides(columns: Values, name: str) -> None:
    for side in _RANKING:
        if side not in columns:
            raise Refused(f"{name}.columns", f"a ranking needs {side}")
