"""A block of rows to canonical lines: nothing changed that should not be, nothing lost."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.data.block import Formatted, Origin, format_block
from factory.data.canonical import Profile
from factory.data.containers.jsonl import LineBlock
from factory.data.containers.parsed import ParsedRows
from factory.data.schema import canonical

SOURCE = 'data/raw/50% "odd".jsonl'


def formatted(*lines: bytes, form: str = "openai") -> Formatted:
    text = b"".join(line + b"\n" for line in lines)
    return format_block(LineBlock(1, text, 1 << 20), Origin(SOURCE, form), {})


def row(user: str = "Hi", said: str = "Hello", **more: Any) -> bytes:
    turns = [{"role": "user", "content": user}, {"role": "assistant", "content": said}]
    return orjson.dumps({"messages": turns, **more})


def rows_of(done: Formatted) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.lines.splitlines()]


def test_a_row_without_id_is_named_by_file_and_line() -> None:
    first, second = rows_of(formatted(row(), row("Ho")))
    assert (first["id"], second["id"]) == (f"{SOURCE}:1", f"{SOURCE}:2")
    assert first["source"] == SOURCE


def test_id_group_and_tags_are_kept() -> None:
    (found,) = rows_of(formatted(row(id=7, group="g", tags={"phrasing": "seen"}, extra=[1])))
    assert (found["id"], found["group"], found["tags"]) == ("7", "g", {"phrasing": "seen"})
    assert "extra" not in found


def test_an_empty_system_turn_is_dropped() -> None:
    turns = [
        {"role": "system", "content": " "},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    (found,) = rows_of(formatted(orjson.dumps({"messages": turns})))
    assert found["conversations"] == turns[1:]


def reasons(*turns: tuple[str, str], **more: Any) -> list[str]:
    messages = [{"role": role, "content": content} for role, content in turns]
    done = formatted(orjson.dumps({"messages": messages, **more}))
    return [code for _, code, _ in done.rejects]


def test_turns_without_sense_are_refused() -> None:
    ask, say = ("user", "Hi"), ("assistant", "Hello")
    assert reasons(("user", " "), say) == ["empty_turn"]
    assert reasons(ask, ("assistant", "\n")) == ["empty_turn"]
    assert reasons(say) == ["no_user_turn"]
    assert reasons(ask) == ["no_assistant_turn"]
    assert reasons(ask, ("system", "x"), say) == ["bad_turn_order"]
    assert reasons(ask, ("tool", "x"), say) == ["bad_turn_order"]


def test_a_role_that_is_two_names_in_one_is_unknown() -> None:
    turns = [{"role": "user,assistant", "content": "Hi"}]
    done = formatted(orjson.dumps({"messages": turns}))
    assert [code for _, code, _ in done.rejects] == ["unknown_role"]


def test_sharegpt_rows_of_texts_are_the_same_rows() -> None:
    turns = [{"from": "human", "value": 'Hi %s "you"\n'}, {"value": "é\u2028", "from": "gpt"}]
    line = orjson.dumps({"conversations": turns, "extra": 1})
    (found,) = rows_of(formatted(line, form="sharegpt"))
    assert found["conversations"] == [
        {"role": "user", "content": 'Hi %s "you"\n'},
        {"role": "assistant", "content": "é\u2028"},
    ]


def test_fields_of_the_wrong_type_are_refused() -> None:
    ask, say = ("user", "Hi"), ("assistant", "Hello")
    assert reasons(ask, say, id=[1]) == ["bad_field"]
    assert reasons(ask, say, tags={"a": 1}) == ["bad_field"]
    assert reasons(ask, say, split="holdout") == ["unknown_split"]
    assert reasons(ask, say, tools=[{"parameters": {}}]) == ["bad_tools"]


def test_a_field_that_changes_its_type_half_way_is_a_reject() -> None:
    broken = b'{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":["x",1]}]}'
    done = formatted(row(), broken, row("Ho"))
    assert [(line, code) for line, code, _ in done.rejects] == [(2, "bad_content")]
    assert len(done.records) == 2


def test_a_key_named_twice_is_found_among_plain_rows() -> None:
    twice = row()[:-1] + b',"id":1,"id":2}'
    done = formatted(row(), twice, row("Ho"), b"nonsense")
    assert [(line, code) for line, code, _ in done.rejects] == [
        (2, "duplicate_key"),
        (4, "invalid_json"),
    ]


def test_a_call_of_an_undeclared_tool_is_a_finding() -> None:
    call = {"function": {"name": "look", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    other = [{"name": "other", "parameters": {"type": "object"}}]
    line = orjson.dumps({"messages": turns, "tools": other})
    profiles: dict[Profile, int] = {}
    format_block(LineBlock(1, line, 1 << 20), Origin(SOURCE, "openai"), profiles)
    (profile,) = profiles
    assert profile.findings == ("undeclared_tool",)
    assert profile.calls == ("look",)


def test_a_row_that_cannot_be_written_leaves_nothing_to_the_next() -> None:
    call = {"function": {"name": "look", "arguments": {"when": b"no JSON"}}}
    ask = {"role": "user", "content": "Hi"}
    calling = [ask, {"role": "assistant", "content": "", "tool_calls": [call]}]
    answering = [ask, {"role": "assistant", "content": "Hello"}]
    rows = [{"messages": calling, "id": "a", "group": "g"}, {"messages": answering}]
    done = format_block(ParsedRows(list(enumerate(rows, 1))), Origin("a", "openai"), {})
    assert len(done.rejects) == 1
    assert done.records[["group", "id"]].tolist() == [(0, 0)]


def test_sizes_and_lines_of_the_index_fit_the_lines() -> None:
    done = formatted(row(), b"", row("é" * 40, id="x"), row(tools=[{"name": "look"}]))
    lines = done.lines.splitlines(keepends=True)
    assert done.records["size"].tolist() == list(map(len, lines))
    assert done.records["line"].tolist() == [1, 3, 4]


TEXT = st.text(min_size=1).filter(str.strip)
TURNS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4)


@given(st.lists(TURNS, max_size=6), st.booleans(), st.booleans())
def test_any_conversation_comes_out_as_it_went_in(
    conversations: list[list[tuple[str, str]]], spaced: bool, ascii_only: bool
) -> None:
    raw = [
        [
            {"role": role, "content": text}
            for pair in pairs
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
        for pairs in conversations
    ]
    separators = (", ", ": ") if spaced else (",", ":")
    lines = [
        json.dumps({"messages": turns}, ensure_ascii=ascii_only, separators=separators).encode(
            "utf-8", "surrogatepass"
        )
        for turns in raw
    ]
    done = formatted(*lines)
    good = [turns for n, turns in enumerate(raw, 1) if n not in {r[0] for r in done.rejects}]
    assert [found["conversations"] for found in rows_of(done)] == good
    assert {code for _, code, _ in done.rejects} <= {"lone_surrogate", "invalid_utf8"}
    assert all(map(canonical, done.lines.splitlines()))


@pytest.mark.parametrize("flag", ["train", "loss", "weight", "loss_weight"])
def test_a_row_of_which_nothing_is_trained_is_refused(flag: str) -> None:
    said = {"role": "assistant", "content": "Hello", flag: 0}
    ask = {"role": "user", "content": "Hi"}
    rows = [{"messages": turns} for turns in ([ask, said], [ask, said, ask, {**said, flag: 1}])]
    block = LineBlock(1, b"\n".join(map(orjson.dumps, rows)), 1 << 20)
    done = format_block(block, Origin("a", "openai"), {})
    assert [code for _, code, _ in done.rejects] == ["nothing_trained"]
    assert len(done.records) == 1
