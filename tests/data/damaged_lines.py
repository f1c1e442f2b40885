"""`python damaged_lines.py MODULE ROUNDS`: give damaged lines to one build of the compiled reader.

Prints how many texts it took. That it comes to an end is the test.
"""

from __future__ import annotations

import random
import sys
from importlib import util
from typing import Any

TEXTS = ["Hi", r"He said \"é\"\n\\ \u001f\u00e9\ud83d\ude00", "你好 😀", " \u3000", "x" * 40]
MARKS = [*'\n "\\,:{}[]u0\0é', r"\ud800", r"\u", "user"]
BAD_BYTES = [bytes([byte]) for byte in (0x80, 0xC3, 0xE2, 0xED, 0xF0, 0xF4, 0xFF)]
ROW = '{"messages":[{"role":"user","content":"%s"},{"content":"%s","role":"assistant"}]}'
KEYS = b'"messages"', b'"role"', b'"content"'
ROLES = (
    (b'"user"', b'{"role":"user","content":"', True),
    (b'"assistant"', b'{"role":"assistant","content":"', False),
)
FRAME = b'{"conversations":', b',"id":"a:', b'"}\n'


def damaged() -> bytes:
    """A few rows with up to two bytes replaced or put in between, some cut off."""
    rows = [ROW % tuple(random.choices(TEXTS, k=2)) for _ in range(random.randint(1, 3))]
    lines = "\n".join(rows).encode()
    for _ in range(random.randint(0, 2)):
        place = random.randrange(len(lines))
        mark = random.choice([*BAD_BYTES, *(mark.encode() for mark in MARKS)])
        lines = lines[:place] + mark + lines[place + random.choice((0, len(mark))) :]
    return lines[: random.randrange(len(lines))] if random.random() < 0.3 else lines


def loaded(path: str) -> Any:
    """The compiled module at `path`."""
    spec = util.spec_from_file_location("factory.data._plain", path)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    random.seed(3)
    read = loaded(sys.argv[1]).read
    found = [
        read(damaged(), 1, KEYS, ROLES, FRAME, str.encode) is not None
        for _ in range(int(sys.argv[2]))
    ]
    print(sum(found))
