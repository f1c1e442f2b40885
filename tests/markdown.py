"""What the tests of documents need: code blocks, inline code and links of a Markdown file."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("agents/*.md")],
    key=lambda path: path.relative_to(ROOT).as_posix(),
)
_FENCE = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced code block; `kind` is all that follows the opening fence."""

    path: Path
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{name(self.path)}:{self.line}"


def name(path: Path) -> str:
    """The path as a test names it."""
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path) -> list[Block]:
    """Every fenced code block of a document."""
    text = path.read_text(encoding="utf-8")
    return [
        Block(path, text.count("\n", 0, found.start()) + 1, found[1].strip(), found[2])
        for found in _FENCE.finditer(text)
    ]


def prose(path: Path) -> str:
    """The document without its code blocks and comments."""
    return _COMMENT.sub("", _FENCE.sub("", path.read_text(encoding="utf-8")))


def code_spans(path: Path) -> list[str]:
    """Every piece of inline code, in order."""
    return _CODE.findall(prose(path))


def links(path: Path) -> list[str]:
    """Every link target."""
    return _LINK.findall(prose(path))


def factory_commands(path: Path) -> list[list[str]]:
    """The arguments of every `python -m factory` command, in blocks and in inline code."""
    shell = [block.text for block in blocks(path) if block.kind.split(" ")[0] in ("bash", "sh")]
    return [found for text in [*shell, *code_spans(path)] for found in _commands(text)]


def _commands(text: str) -> Iterator[list[str]]:
    for line in text.replace("\\\n", " ").splitlines():
        start = line.find("python -m factory ")
        if start < 0:
            continue
        words = shlex.split(line[start:], comments=True)[3:]
        ends = [place for place, word in enumerate(words) if word in ("|", "&&", ";", ">", "2>")]
        yield words[: ends[0]] if ends else words
