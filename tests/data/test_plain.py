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
from factory.data.markup import SpecialTokens

SHAREGPT = {"user": "human", "assistant": "gpt", "system": "system"}
FORMS = ("openai", "sharegpt")
compiled = pytest.mark.skipif(plain._read is None, reason="factory/data/_plain.c is not compiled")


def row(form: str, *turns: tuple[str, str]) -> dict[str, Any]:
    if form == "openai":
        return {"messages": [{"role": role, "content": text} for role, text in turns]}
    return {"conversations": [{"from": SHAREGPT[role], "value": text} for role, text in turns]}


def names(form: str) -> plain.PlainNames:
    return PLAIN[READERS[form]]


def pair(form: str, asked: str = "Hi", said: str = "Hello") -> bytes:
    return orjson.dumps(row(form, ("user", asked), ("assistant", said)))


def both_ways(form: str, lines: bytes) -> tuple[Formatted, Formatted]:
    """What becomes of lines with the compiled way and without it."""
    block, origin = LineBlock(7, lines, 1 << 20), Origin('50% "odd" %d.jsonl', form)
    with pytest.MonkeyPatch.context() as patch:
        short = format_block(block, origin, {})
        patch.setattr(plain, "_read", None)
        return short, format_block(block, origin, {})


def same(form: str, lines: bytes) -> None:
    short, long = both_ways(form, lines)
    assert short.lines == long.lines
    assert short.rejects == long.rejects
    assert short.records.tobytes() == long.records.tobytes()


def goes_straight(form: str, lines: bytes) -> bool:
    return plain.straight(lines, 1, names(form), plain.Frame(b"{", b",", b"}\n")) is not None


def test_the_compiled_part_is_here() -> None:
    assert plain._read is not None, "pip install --no-deps -e . says why it was not compiled"


ODD = 'He said "é"\n\\ : /\x00\b\f\r\t\x1f\x7f \u2028 \U0001f600\ufffe Straße\u00a0ÇİΣ'
STYLES = {
    "compact": pair("openai", ODD) + b"\n",
    "json.dumps": json.dumps(row("openai", ("user", ODD), ("assistant", "Ho"))).encode() + b"\n",
    "slashes escaped": pair("openai", "a/b").replace(b"/", b"\\/") + b"\n",
    "escapes in capitals": pair("openai", "a=b").replace(b"=", b"\\u003D\\u00e9\\u00E9") + b"\n",
    "short escapes written long": pair("openai", "a=b").replace(b"=", b"\\u000a\\u0022") + b"\n",
    "no line end": pair("openai"),
    "line ends of Windows": pair("openai") + b"\r\n" + pair("openai", "Ho") + b"\r\n",
    "blank lines": b"\n \t\n" + pair("openai") + b"\n\n" + pair("openai", "Ho") + b"\n\n",
    "only blank lines": b"\n\n",
    "space everywhere": b' { "messages" : [ { "role" : "user" , "content" : "Hi" } , { "role":'
    b' "assistant", "content": "Ho"\t} ] } \n',
    "several rows": b"\n".join(pair("openai", word) for word in ("A", "B", "é", "C")),
    "several user turns": orjson.dumps(
        row("openai", *[("user", "A B"), ("assistant", "C"), ("user", "\tD"), ("assistant", "E")])
    ),
    "a user turn that is not ASCII": orjson.dumps(
        row("openai", *[("user", "A B"), ("assistant", "C"), ("user", "ǅ D"), ("assistant", "E")])
    ),
    "roles in turn": b"\n".join(
        orjson.dumps(row("openai", *turns))
        for turns in [
            [("user", "A"), ("assistant", "B")],
            [("system", "S"), ("user", "C"), ("assistant", "D")],
            [("user", "E"), ("assistant", "F")],
        ]
    ),
    "a text of another script": pair("openai", "你好", "ភាសាខ្មែរ"),
}


@compiled
@pytest.mark.parametrize("lines", STYLES.values(), ids=STYLES)
def test_however_they_are_written_mere_texts_go_straight(lines: bytes) -> None:
    same("openai", lines)
    assert goes_straight("openai", lines)


@compiled
def test_rows_of_sharegpt_go_straight_under_any_name_of_their_roles() -> None:
    lines = pair("sharegpt", ODD) + b"\n" + pair("sharegpt").replace(b"human", b"user")
    same("sharegpt", lines)
    assert goes_straight("sharegpt", lines)


HI = '{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}]}'
OTHER_LINES = {
    "two rows on a line": HI + HI + "\n\n",
    "two rows on a line, space between": HI + " " + HI + "\n",
    "a line end in a row and none behind it": HI.replace(",", ",\n", 1) + HI + "\n",
    "a line end before the last brace": HI[:-1] + "\n}" + HI + "\n",
    "a key named twice": HI.replace('"user",', '"user","role":"user",') + "\n",
    "a key named twice and one never": HI.replace("content", "role") + "\n",
    "rows named twice": HI.replace("{", '{"messages":[{"role":"user","content":"x"}],', 1) + "\n",
    "an escape that there is not": HI.replace("Hi", "H\\a") + "\n",
    "an escape cut off": HI.replace("Hi", "H\\u12") + "\n",
    "a text cut off": HI[: HI.index("Hi") + 1],
    "a text cut off in an escape": HI[: HI.index("Hi") + 1] + "\\",
    "a zero in a text": HI.replace("Hi", "\0") + "\n",
    "a zero behind a row": HI + "\0\n",
    "another field": HI[:-1] + ',"id":1}\n',
    "another field of a turn": HI.replace('"Hi"', '"Hi","train":false') + "\n",
    "an empty text": HI.replace("Hi", "") + "\n",
    "a blank text": HI.replace("Hi", " \\n\u00a0\u2003\u3000\u1680\x85") + "\n",
    "signs that are almost space": HI.replace("Hi", "\u200b\u3001") + "\n",
    "no user": HI.replace("user", "assistant") + "\n",
    "another role": HI.replace("assistant", "tool") + "\n",
    "a role that is longer": HI.replace("user", "user2") + "\n",
    "no turns": HI + '\n{"messages":[]}\n',
    "a comma too much": HI.replace("}]", "},]") + "\n",
    "a number": HI.replace('"Hi"', "1") + "\n",
    "a line end in a text": HI.replace("Hi", "H\ni") + "\n",
    "half a character": HI.replace("Hi", "\\ud800") + "\n",
    "the other half": HI.replace("Hi", "\\udc00") + "\n",
    "half a character and another": HI.replace("Hi", "\\ud800\\u0041") + "\n",
    "not UTF-8": HI.replace("Hi", "\udcff") + "\n",
}
# What UTF-8 does not allow, and what it allows just so (RFC 3629).
BAD_BYTES = [
    *(b"\x80", b"\xc3", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xe2\x82"),
    *(b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98", b"\xff"),
]
LAST_BYTES = [
    *(b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80"),
    *(b"\xef\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf"),
]


@pytest.mark.parametrize("text", OTHER_LINES.values(), ids=OTHER_LINES)
def test_other_lines_go_the_long_way(text: str) -> None:
    lines = text.encode("utf-8", "surrogateescape")
    assert not goes_straight("openai", lines)
    same("openai", lines)


@compiled
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", [*BAD_BYTES, *LAST_BYTES], ids=bytes.hex)
def test_what_is_no_utf_8_does_not_go_straight(form: str, text: bytes) -> None:
    lines = pair(form, "x=y").replace(b"=", text) + b"\n"
    same(form, lines)
    assert goes_straight(form, lines) == (text in LAST_BYTES)


@compiled
@pytest.mark.parametrize("form", FORMS)
def test_a_text_before_its_role_is_written_behind_it(form: str) -> None:
    turns = row(form, ("user", ODD), ("assistant", "Ho"))
    turned = {name: [dict(reversed(t.items())) for t in value] for name, value in turns.items()}
    lines, straight = (orjson.dumps(value) + b"\n" for value in (turned, turns))
    assert goes_straight(form, lines)
    same(form, lines)
    assert both_ways(form, lines)[0].lines == both_ways(form, straight)[0].lines


def test_a_mark_closes_the_straight_way() -> None:
    lines = pair("openai", "Hi <|end|>").replace(b"<", b"\\u003c") + b"\n"
    origin = Origin("a.jsonl", "openai", special_tokens=SpecialTokens(("<|end|>",), "neutralise"))
    found = format_block(LineBlock(1, lines, 1 << 20), origin, {})
    assert b"<|end|>" not in found.lines and len(found.records) == 1


TEXT = st.text(max_size=6)
TURNS = st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), TEXT), max_size=4)
EDITS = st.lists(
    st.tuples(st.integers(0, 500), st.sampled_from(list('\n "\\,:{}[]u0'))), max_size=3
)


@pytest.mark.parametrize("form", FORMS)
@given(st.lists(TURNS, max_size=4), EDITS, st.booleans(), st.booleans(), st.booleans())
@example([[("user", "a"), ("assistant", "b")]] * 2, [], True, False, True)
def test_damaged_lines_are_judged_alike(
    form: str,
    rows: list[list[tuple[str, str]]],
    edits: list[tuple[int, str]],
    ended: bool,
    escaped: bool,
    compact: bool,
) -> None:
    separators = (",", ":") if compact else None
    text = "\n".join(
        json.dumps(row(form, *turns), ensure_ascii=escaped, separators=separators) for turns in rows
    )
    text += "\n" if ended else ""
    for place, mark in edits:
        text = text[:place] + mark + text[place:]
    same(form, text.encode("utf-8", "surrogatepass"))
