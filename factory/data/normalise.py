"""When two texts count as the same: letter case, Unicode compatibility forms and space aside."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence
from itertools import repeat

SEPARATOR = "\0"  # between the turns of a joined text
_LOWER = bytes.maketrans(string.ascii_uppercase.encode(), string.ascii_lowercase.encode())
_SPACE = b" \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f"  # what str.split takes for space in ASCII


def normalise(text: str) -> str:
    """Return `text` with case folded, compatibility forms unified and runs of space made one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def fold(text: str) -> bytes:
    """Return the key of `text`: as `normalise`, but without any space.

    Made for speed, since it is taken of every row: one pass over plain ASCII. Texts that differ in
    nothing but where their spaces are get the same key, which joins a little more than it has to.
    """
    if text.isascii():
        return text.encode().translate(_LOWER, _SPACE)
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).encode()


def folded(texts: Sequence[str]) -> list[bytes]:
    """Return `fold` of every text."""
    if not all(map(str.isascii, texts)):
        return list(map(fold, texts))
    return list(map(bytes.translate, map(str.encode, texts), repeat(_LOWER), repeat(_SPACE)))
