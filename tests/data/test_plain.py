"""Rows of mere texts by column: the short ways say what the long one says, or nothing."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from factory.data import plain
from factory.data.block import Formatted, Origin, format_block
from factory.data.containers.jsonl import LineBlock
from factory.data.formats import PLAIN, READERS

SHAREGPT = {"user": "human", "assistant": "gpt", "system": "system"}
FORMS = ("openai", "sharegpt")


def row(form: str, *turns: tuple[str, str]) -> dict[str, Any]:
    if form == "openai":
        return {"messages": [{"role": role, "content": text} for role, text in turns]}
    return {"conversations": [{"from": SHAREGPT[role], "value": text} for role, text in turns]}


def names(form: str) -> plain.PlainNames:
    return PLAIN[READERS[form]]


def pair(form: str, asked: str = "Hi", said: str = "Hello") -> bytes:
    return orjson.dumps(row(form, ("user", asked), ("assistant", said)))


def both_ways(form: str, lines: bytes) -> tuple[Formatted, Formatted]:
    """What becomes of lines with the shortest way and without it."""
    block, origin = LineBlock(1, lines, 1 << 20), Origin("a.jsonl", form)
    with pytest.MonkeyPatch.context() as patch:
        short = format_block(block, origin, {})
        patch.setattr(plain, "tight", lambda *_: None)
        return short, format_block(block, origin, {})


def same(form: str, lines: bytes) -> None:
    short, long = both_ways(form, lines)
    assert short.lines == long.lines
    assert short.rejects == long.rejects
    assert short.records.tobytes() == long.records.tobytes()


@pytest.mark.parametrize("form", FORMS)
def test_lines_without_a_byte_too_much_are_taken(form: str) -> None:
    lines = pair(form, 'He said "é"\n\\ :') + b"\n" + pair(form) + b"\n"
    assert plain.tight(lines, names(form)) is not None
    same(form, lines)


HI = '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}]}'
OTHER_LINES = {
    "a space": HI.replace(":[", ": [") + "\n",
    "a space behind": HI + " \n",
    "a carriage return": HI + "\r\n",
    "no line end": HI,
    "a blank line": HI + "\n\n" + HI + "\n",
    "two rows on a line": HI + HI + "\n\n",
    "two rows on a line, space between": HI + " " + HI + "\n",
    "a line end in a row and none behind it": HI.replace(",", ",\n", 1) + HI + "\n",
    "a line end before the last brace": HI[:-1] + "\n}" + HI + "\n",
    "a key named twice": HI.replace('"user",', '"user","role":"user",') + "\n",
    "rows named twice": HI.replace("{", '{"messages":[{"role":"user","content":"x"}],', 1) + "\n",
    "an escape that is not needed": HI.replace("Hi", "H\\/") + "\n",
    "another field": HI[:-1] + ',"id":1}\n',
    "another field of a turn": HI.replace('"Hi"', '"Hi","train":false') + "\n",
    "an empty text": HI.replace("Hi", "") + "\n",
    "a blank text": HI.replace("Hi", " \\n") + "\n",
    "no user": HI.replace("user", "assistant") + "\n",
    "another role": HI.replace("assistant", "tool") + "\n",
    "no turns": HI + '\n{"messages":[]}\n',
    "a number": HI.replace('"Hi"', "1") + "\n",
    "half a character": HI.replace("Hi", "\\ud800") + "\n",
    "not UTF-8": HI.replace("Hi", "\udcff") + "\n",
    "nothing": "\n",
}


@pytest.mark.parametrize("text", OTHER_LINES.values(), ids=OTHER_LINES)
def test_other_lines_go_the_long_way(text: str) -> None:
    lines = text.encode("utf-8", "surrogateescape")
    assert plain.tight(lines, names("openai")) is None
    same("openai", lines)


def test_a_text_before_its_role_is_written_behind_it() -> None:
    turned = b'{"content":"Hi","role":"user"},{"role":"assistant","content":"Ho"}'
    lines = [b'{"messages":[%b]%b}\n' % (turned, more) for more in (b"", b',"extra":1')]
    short, long = (both_ways("openai", line)[0] for line in lines)
    assert short.lines == long.lines
    assert short.lines.startswith(b'{"conversations":[{"role":"user","content":"Hi"},')


TEXT = st.text(max_size=6)
TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=4)
EDITS = st.lists(
    st.tuples(st.integers(0, 500), st.sampled_from(list('\n "\\,:{}[]u0'))), max_size=3
)


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(TURNS, max_size=4), EDITS, st.booleans())
@example([[("user", "a"), ("assistant", "b")]] * 2, [], True)
def test_damaged_lines_are_judged_alike(
    form: str, rows: list[list[tuple[str, str]]], edits: list[tuple[int, str]], ended: bool
) -> None:
    text = "\n".join(
        json.dumps(row(form, *turns), ensure_ascii=False, separators=(",", ":")) for turns in rows
    )
    text += "\n" if ended else ""
    for place, mark in edits:
        text = text[:place] + mark + text[place:]
    same(form, text.encode("utf-8", "surrogatepass"))
