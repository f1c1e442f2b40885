"""One pinned policy for what JSON parsers disagree on."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.data.parse import check_duplicate_keys, parse_object
from factory.data.rejection import REASONS, Rejected

MALFORMED = {
    "truncated": (b'{"a": "b', "invalid_json"),
    "trailing comma": (b'{"a": 1,}', "invalid_json"),
    "comment": (b'{"a": 1} // no', "invalid_json"),
    "single quotes": (b"{'a': 1}", "invalid_json"),
    "bare word": (b"{a: 1}", "invalid_json"),
    "two values": (b'{"a": 1} {"b": 2}', "invalid_json"),
    "NaN": (b'{"a": NaN}', "invalid_json"),
    "Infinity": (b'{"a": -Infinity}', "invalid_json"),
    "leading zero": (b'{"a": 01}', "invalid_json"),
    "control character": (b'{"a": "\x01"}', "invalid_json"),
    "NUL": (b'{"a": "\x00"}', "invalid_json"),
    "bad escape": (rb'{"a": "\x41"}', "invalid_json"),
    "byte order mark inside": (b'\xef\xbb\xbf{"a": 1}', "invalid_json"),
    "latin-1": (b'{"a": "\xe9"}', "invalid_utf8"),
    "cut character": (b'{"a": "\xe2\x82"}', "invalid_utf8"),
    "overlong": (b'{"a": "\xc0\x80"}', "invalid_utf8"),
    "encoded surrogate": (b'{"a": "\xed\xa0\x80"}', "invalid_utf8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "invalid_utf8"),
    "high surrogate": (rb'{"a": "\ud83d"}', "lone_surrogate"),
    "low surrogate": (rb'{"a": "\ude00"}', "lone_surrogate"),
    "deep": (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too_deep"),
    "array": (b"[1]", "not_an_object"),
    "string": (b'"a"', "not_an_object"),
    "number": (b"1", "not_an_object"),
    "null": (b"null", "not_an_object"),
    "duplicate key": (b'{"a": 1, "a": 2}', "duplicate_key"),
    "duplicate key, spaced": (b'{"a" : 1, "a" : 2, "b:" : 3}', "duplicate_key"),
    "duplicate key, nested": (b'{"m": [{"role": "x", "role": "y"}]}', "duplicate_key"),
    "duplicate key behind an escaped colon": (rb'{"a":1,"a":"\u003a"}', "duplicate_key"),
    "duplicate key, escaped": (rb'{"a": 1, "\u0061": 2}', "duplicate_key"),
}


def reason(text: bytes) -> str | None:
    """The reason code for which `text` is refused; None if it is a row."""
    value = parse_object(text)
    if isinstance(value, Rejected):
        return value.code
    try:
        check_duplicate_keys(text, value)
    except Rejected as rejected:
        return rejected.code
    return None


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_text_is_refused_with_its_reason(name: str) -> None:
    text, expected = MALFORMED[name]
    assert reason(text) == expected
    assert expected in REASONS


@pytest.mark.parametrize(
    "text",
    [b'{"a": "x: y"}', b'{"a" : {"b" :1}}', rb'{"a": "\u003a"}', b'{"a":1}\r\n', b"{}"],
)
def test_odd_but_valid_text_is_accepted(text: bytes) -> None:
    assert reason(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=5), st.booleans(), st.booleans())
def test_what_any_serialiser_writes_is_accepted(row: dict, spaced: bool, ascii_only: bool) -> None:
    separators = (" , ", " : ") if spaced else (",", ":")
    text = json.dumps(row, separators=separators, ensure_ascii=ascii_only)
    try:
        text.encode()
    except UnicodeEncodeError:
        return  # lone surrogates are not text
    if "\\ud" not in text.lower():
        assert reason(text.encode()) is None


@given(st.lists(st.tuples(st.sampled_from("abc:"), st.text(max_size=3)), min_size=2, max_size=6))
def test_a_key_named_twice_is_always_found(pairs: list[tuple[str, str]]) -> None:
    text = b"{" + b",".join(orjson.dumps(k) + b":" + orjson.dumps(v) for k, v in pairs) + b"}"
    twice = len({key for key, _ in pairs}) < len(pairs)
    assert (reason(text) == "duplicate_key") is twice
