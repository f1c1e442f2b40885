"""Tokens per row under the model's own tokenizer and template, counted in a process of its own.

The parent hands over the spool and gets numbers back: transformers stays out of it, and a chat
template that loops or eats memory is killed by a limit instead of taking the run along.

Not every row has to be tokenized. A byte-level tokenizer makes at most one token of a byte, so a
row whose canonical line is shorter than the limit, less what the template adds, cannot exceed
it. Such rows are only counted when they are in the sample.

    python -m factory.data.tokens REQUEST.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from factory import child
from factory.data import view
from factory.data.conversation import template_messages, template_tools
from factory.data.lines import Segment, pick
from factory.data.rows import Values
from factory.errors import DataError

BATCH_ROWS = 256
UNRENDERABLE = -1
WANTED, RICH, SAMPLE = 1, 2, 4  # flags of a row
MEMORY_LIMIT_BYTES = 8 << 30
# Templates print tool schemas and calls with spaces and indentation; compact JSON that nests
# as deeply as schemas do grows at most so many times.
RICH_GROWTH = 4
NO_BOUND = 1 << 40
EXAMPLES = 10
EXAMPLES_FILE = "examples.json"


@dataclass(frozen=True)
class Request:
    """What to count. `sizes` holds the bytes of every line, `flags.npy` in `folder` its flags."""

    tokenizer: str
    chat_template: str | None
    max_tokens: int
    segments: list[Segment]
    sizes: str
    folder: str


def count(
    request: Request,
    flags: np.ndarray,
    *,
    log: Path,
    on_progress: Callable[[int, int], None],
) -> Values:
    """Return the tokens of every row that is in the sample or may be too long.

    `flags` has a byte for each row, a sum of WANTED, RICH and SAMPLE. Rows that the template
    refuses have UNRENDERABLE tokens. Raises DataError when the tokenizer does not load, has no
    template, or the process dies.
    """
    folder = Path(request.folder)
    np.save(folder / "flags.npy", flags)
    job = folder / "tokens.json"
    job.write_text(json.dumps(_as_json(request)), encoding="utf-8")
    errors: list[str] = []

    def deliver(event: dict[str, Any]) -> None:
        if "error" in event:
            errors.append(event["error"])
        else:
            on_progress(event["done"], event["total"])

    command = child.python("factory.data.tokens", str(job))
    code = child.run(command, log=log, environment={}, on_event=deliver)
    if code != 0:
        raise DataError(
            errors[0] if errors else f"counting tokens failed (exit code {code})",
            where=request.tokenizer,
            hint=f"the log is {log}",
        )
    return Values(np.load(folder / "rows.npy"), np.load(folder / "counts.npy"))


def main(job: Path) -> int:
    """The child: count the rows of one request, report progress as events."""
    request = _from_json(json.loads(job.read_text(encoding="utf-8")))
    _limit_memory()
    # Counting needs no torch, and transformers without it loads in a third of the time and memory.
    sys.modules["torch"] = None  # type: ignore[assignment]
    try:
        tokenizer = load_tokenizer(request.tokenizer, request.chat_template)
    except (DataError, OSError, ValueError) as error:
        child.emit({"error": str(error).splitlines()[0]})
        return 1
    sizes = np.fromfile(request.sizes, "<u4")
    flags = np.load(Path(request.folder, "flags.npy"))
    rows = to_count(sizes, flags, request.max_tokens - template_slack(tokenizer))
    counts = np.empty(len(rows), dtype=np.int32)
    lines = pick(request.segments, sizes, rows)
    for start in range(0, len(rows), BATCH_ROWS):
        batch = [orjson.loads(line) for line in islice(lines, BATCH_ROWS)]
        counts[start : start + len(batch)] = list(lengths(tokenizer, batch))
        child.emit({"done": start + len(batch), "total": len(rows)})
    _save_examples(tokenizer, request, sizes, flags)
    np.save(Path(request.folder, "rows.npy"), rows)
    np.save(Path(request.folder, "counts.npy"), counts)
    return 0


def _save_examples(tokenizer: Any, request: Request, sizes: np.ndarray, flags: np.ndarray) -> None:
    """Render a few sampled rows for people to look at."""
    sampled = np.flatnonzero(flags & SAMPLE != 0)
    chosen = sampled[np.linspace(0, len(sampled) - 1, min(EXAMPLES, len(sampled)), dtype=int)]
    examples = []
    for line in pick(request.segments, sizes, chosen):
        row = orjson.loads(line)
        if _render(tokenizer, row) is not None:
            examples.append((row["id"], list(map(tuple, view.segments(tokenizer, row)))))
    Path(request.folder, EXAMPLES_FILE).write_bytes(orjson.dumps(examples))


def examples(folder: Path) -> list[tuple[str, list[view.Segment]]]:
    """The rows that the last count rendered: their ids and segments."""
    found = orjson.loads((folder / EXAMPLES_FILE).read_bytes())
    return [(name, [view.Segment(*part) for part in parts]) for name, parts in found]


def to_count(sizes: np.ndarray, flags: np.ndarray, limit: int) -> np.ndarray:
    """The wanted rows that are in the sample or have more bytes than `limit`."""
    long = sizes > max(0, limit)
    long |= (flags & RICH != 0) & (sizes > max(0, limit) // RICH_GROWTH)
    return np.flatnonzero((flags & WANTED != 0) & ((flags & SAMPLE != 0) | long))


def _as_json(request: Request) -> dict[str, Any]:
    return asdict(request) | {"segments": [(str(s.path), *s[1:]) for s in request.segments]}


def _from_json(value: dict[str, Any]) -> Request:
    segments = [Segment(Path(path), *numbers) for path, *numbers in value["segments"]]
    return Request(**{**value, "segments": segments})


def _limit_memory() -> None:
    """A template that grows a string for ever ends as a MemoryError, not as a dead machine."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def load_tokenizer(folder: str, chat_template: str | None) -> Any:
    """The model's tokenizer with the template that the configuration names."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    if chat_template is not None:
        tokenizer.chat_template = chat_template
    if not tokenizer.chat_template:
        raise DataError("the model has no chat template: set dataset.chat_template")
    return tokenizer


def template_slack(tokenizer: Any) -> int:
    """Tokens that the template adds to a row beyond the bytes of its canonical line.

    Measured on the shortest rows. Each further pair of turns has to cost fewer tokens than its
    JSON has bytes, or else there is no bound and every row is counted.
    """
    pair = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
    system = [{"role": "system", "content": "a"}]
    rows = [{"conversations": turns} for turns in (pair, system + pair, pair * 2, pair * 3)]
    counts = list(lengths(tokenizer, rows))
    sizes = [len(orjson.dumps(row)) for row in rows]
    known = [(count, size) for count, size in zip(counts, sizes, strict=True) if count >= 0]
    if len(known) < 2 or counts[3] - counts[2] > sizes[3] - sizes[2]:
        return NO_BOUND
    return max(count - size for count, size in known)


def lengths(tokenizer: Any, rows: list[Any]) -> Iterator[int]:
    """Yield the number of tokens of each canonical row; UNRENDERABLE if the template refuses it."""
    texts = [_render(tokenizer, row) for row in rows]
    rendered = [text for text in texts if text is not None]
    encoded = tokenizer(rendered, add_special_tokens=False)["input_ids"] if rendered else []
    counts = map(len, encoded)
    return (UNRENDERABLE if text is None else next(counts) for text in texts)


def _render(tokenizer: Any, row: Any) -> str | None:
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(
            template_messages(row), tools=template_tools(row), tokenize=False
        )
    except (TemplateError, TypeError, ValueError, KeyError):
        return None
    return text


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
