"""When two texts count as the same: case, Unicode compatibility forms and runs of spaces aside."""

from __future__ import annotations

import re
import unicodedata

SEPARATOR = "\0"  # between the turns of a joined text
_SPACES = re.compile(r"[ \t\r\n]+")
_AROUND_SEPARATOR = re.compile(f" ?{SEPARATOR} ?")
_IRREGULAR = ("\n", "  ", "\t", "\r", " \0", "\0 ")


def normalise(text: str) -> str:
    """Return `text` (turns joined by SEPARATOR) folded; the common plain text costs one pass."""
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    for mark in _IRREGULAR:
        if mark in text:
            text = _AROUND_SEPARATOR.sub(SEPARATOR, _SPACES.sub(" ", text))
            break
    return text.strip(" ")
