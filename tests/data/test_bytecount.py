"""A byte is counted as `bytes.count` counts it, with a compiler and without."""

from __future__ import annotations

import pytest

from factory.data import bytecount
from factory.data.bytecount import count_byte

TEXTS = [
    b"",
    b":",
    b"a" * 63,
    b":" * 64,
    b":" * 65,
    b":a" * (255 * 32) + b":",
    b":" * (255 * 64 * 3 + 5),
    bytes(range(256)) * 1100,
]


@pytest.mark.parametrize("text", TEXTS, ids=[f"{len(text)} bytes" for text in TEXTS])
def test_what_is_counted(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for byte in (b":", b"\xff", b"\0"):
        assert count_byte(text, byte) == text.count(byte)
    assert count_byte(memoryview(text)[1:], b":") == text[1:].count(b":")
    monkeypatch.setattr(bytecount, "_count", None)
    assert count_byte(text, b":") == text.count(b":")
