"""Tokens per row under the model's own tokenizer and template, counted in a process of its own.

The parent hands over the spool and gets numbers back: transformers stays out of it, and a chat
template that loops or eats memory is killed by a limit instead of taking the run along.

Not every row has to be tokenized. A byte-level tokenizer makes at most one token of a byte, so a
row whose canonical line is shorter than the limit, less what the template adds, cannot exceed
it. Such rows are only counted when they are in the sample.

    python -m factory.data.tokens REQUEST.json [beside]

Beside other work it first loads its libraries, then waits for a line on standard input. What
decides about rows is known before the rest: then it says so, and no longer needs the lines. It
takes one core for the rest until standard input is closed, and all that it may have after that.
"""

from __future__ import annotations

import gc
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from factory import child, priority
from factory.data import view
from factory.data.conversation import template_messages, template_tools
from factory.data.lines import Segment, pick
from factory.data.rows import Values
from factory.errors import DataError

BATCH_ROWS = 256
ROWS_PER_WORKER = 5000  # starting a process costs as much as counting so many
UNRENDERABLE = -1
WANTED, RICH, SAMPLE, EXAMPLE = 1, 2, 4, 8  # flags of a row
MEMORY_LIMIT_BYTES = 8 << 30
HELD_BYTES = 32 << 20  # of rows that are encoded last
# Templates print tool schemas and calls with spaces and indentation; compact JSON that nests
# as deeply as schemas do grows at most so many times.
RICH_GROWTH = 4
NO_BOUND = 1 << 40
FLAGS_FILE, EXAMPLES_FILE, REQUEST_FILE = "flags.npy", "examples.json", "tokens.json"
SETTLED_FILE, COUNTS_FILE = "settled.npy", "counts.npy"
BESIDE = "beside"  # the argument of a counter
SETTLED = "settled"  # the field of the event when all is known that decides about rows
Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Request:
    """What to count. `sizes` holds the bytes of every line, FLAGS_FILE in `folder` its flags.

    `excess` is what `factory.data.fit` does with rows that are too long.
    """

    tokenizer: str
    chat_template: str | None
    max_tokens: int
    segments: list[Segment]
    sizes: str
    folder: str
    workers: int = 1
    excess: str = "drop"


@contextmanager
def counter(folder: Path, workers: int) -> Iterator[Process]:
    """The process that will count: it loads its libraries while the rows are still being read.

    `folder` is that of the request to come.
    """
    command = child.python("factory.data.tokens", str(folder / REQUEST_FILE), BESIDE)
    with child.start(command, environment=_tokenizer_threads(workers)) as process:
        try:
            yield process
        finally:
            process.kill()


def count(
    request: Request, flags: np.ndarray, *, log: Path, on_progress: Callable[[int, int], None]
) -> Values:
    """Return the tokens of every row that is in the sample or may be too long.

    `flags` has a byte for each row, a sum of WANTED, RICH, SAMPLE and EXAMPLE. Rows that the
    template refuses have UNRENDERABLE tokens. Raises DataError when the tokenizer does not load,
    has no template, or the process dies.
    """
    run("factory.data.tokens", request, flags, log=log, on_progress=on_progress)
    return _load(request, COUNTS_FILE)


def settle(
    process: Process,
    request: Request,
    flags: np.ndarray,
    *,
    log: Path,
    on_progress: Callable[[int, int], None],
) -> Values:
    """What `count` returns, by a waiting `counter`, but not yet of rows that are fit to be kept.

    The lines are not needed any more then. `finish` returns all, and has to be called.
    """
    assert process.stdin is not None
    _write_request(request, flags)
    with suppress(BrokenPipeError):  # it is dead, which is told below
        os.write(process.stdin.fileno(), b"\n")  # past the buffer: nothing stays in it
    told = _Told(on_progress)
    if not child.follow_until(SETTLED, process, log=log, on_event=told):
        told.require(process.returncode, request, log)
    return _load(request, SETTLED_FILE)


def finish(
    process: Process, request: Request, *, log: Path, on_progress: Callable[[int, int], None]
) -> Values:
    """What `count` returns, once `settle` was called. Raises DataError when the process dies."""
    assert process.stdin is not None
    process.stdin.close()
    told = _Told(on_progress)
    told.require(child.follow(process, log=log, on_event=told), request, log)
    return _load(request, COUNTS_FILE)


def run(
    module: str,
    request: Request,
    flags: np.ndarray,
    *,
    log: Path,
    on_progress: Callable[[int, int], None],
) -> None:
    """Run the child `module` on a request; DataError when it fails."""
    command = child.python(module, str(_write_request(request, flags)))
    told = _Told(on_progress)
    environment = _tokenizer_threads(request.workers)
    code = child.run(command, log=log, environment=environment, on_event=told)
    told.require(code, request, log)


def _write_request(request: Request, flags: np.ndarray) -> Path:
    folder = Path(request.folder)
    np.save(folder / FLAGS_FILE, flags)
    job = folder / REQUEST_FILE
    job.write_text(json.dumps(_as_json(request)), encoding="utf-8")
    return job


def _load(request: Request, name: str) -> Values:
    return Values(*np.load(Path(request.folder, name)))


class _Told:
    """What the child told: its progress, which is passed on, and why it failed."""

    def __init__(self, on_progress: Callable[[int, int], None]) -> None:
        self._on_progress = on_progress
        self._errors: list[str] = []

    def __call__(self, event: dict[str, Any]) -> None:
        if "error" in event:
            self._errors.append(event["error"])
        elif "done" in event:
            self._on_progress(event["done"], event["total"])

    def require(self, code: int, request: Request, log: Path) -> None:
        """Raise DataError unless the child ended well."""
        if code != 0:
            raise DataError(
                self._errors[0] if self._errors else f"counting tokens failed (exit code {code})",
                where=request.tokenizer,
                hint=f"the log is {log}",
            )


def _tokenizer_threads(workers: int) -> dict[str, str]:
    """Too few rows for processes of their own are still shared out among threads."""
    return {
        **_parallelism(workers > 1),
        "RAYON_NUM_THREADS": str(workers),
        "OPENBLAS_NUM_THREADS": "1",  # numpy's, which would wait busily for work that never comes
    }


def _parallelism(on: bool) -> dict[str, str]:
    """Whether a tokenizer may use several threads, which it looks up whenever it encodes."""
    return {"TOKENIZERS_PARALLELISM": "true" if on else "false"}


def main(job: Path, beside: bool) -> int:
    """The child: count the rows of one request, report progress as events."""
    if beside:
        priority.step_back()
        _load_libraries()
        sys.stdin.readline()
    request = read_request(job)
    tokenizer = prepared(request)
    if tokenizer is None:
        return 1
    sizes = np.fromfile(request.sizes, "<u4")
    flags = np.load(Path(request.folder, FLAGS_FILE))
    limit = request.max_tokens - template_slack(tokenizer)
    rows = to_count(sizes, flags, limit)
    last = can_wait(rows, sizes, flags, limit)
    counts = np.full(len(rows), UNRENDERABLE, dtype=np.int32)
    counts[~last] = _reported(_counted(tokenizer, request, sizes, rows[~last]), 0, len(rows))
    lines = pick(request.segments, sizes, rows[last])
    texts = [rendered(tokenizer, orjson.loads(line)) for line in lines]
    last[last] = [text is not None for text in texts]
    _save_examples(tokenizer, request, sizes, flags)
    _save(request, SETTLED_FILE, rows[~last], counts[~last])
    child.emit({SETTLED: True})
    known = [text for text in texts if text is not None]
    batches = (known[first : first + BATCH_ROWS] for first in range(0, len(known), BATCH_ROWS))
    encoded = (
        list(map(len, _encoded(tokenizer, batch)))
        for batch in _on_free_cores(batches, request.workers)
    )
    counts[last] = _reported(encoded, len(rows) - len(known), len(rows))
    _save(request, COUNTS_FILE, rows, counts)
    return 0


def _reported(batches: Iterable[list[int]], done: int, total: int) -> list[int]:
    """All counts of the batches, with an event after each of them."""
    found: list[int] = []
    for batch in batches:
        found += batch
        child.emit({"done": done + len(found), "total": total})
    return found


def _on_free_cores(batches: Iterable[list[str]], workers: int) -> Iterator[list[str]]:
    """The batches, each to be encoded at once: by one thread as long as the parent is at work."""
    for batch in batches:
        is_awaited = bool(select.select([sys.stdin], [], [], 0)[0])  # at the end of its input
        os.environ |= _parallelism(workers > 1 and is_awaited)
        yield batch


def _save(request: Request, name: str, rows: np.ndarray, counts: np.ndarray) -> None:
    np.save(Path(request.folder, name), np.stack((rows, counts)))


def prepared(request: Request) -> Any:
    """In a child: the tokenizer, under a limit of memory; None, with an event, if there is none."""
    _limit_memory()
    _load_libraries()
    try:
        return load_tokenizer(request.tokenizer, request.chat_template)
    except (DataError, OSError, ValueError) as error:
        child.emit({"error": str(error).splitlines()[0]})
        return None


def _load_libraries() -> None:
    """Counting needs no torch; transformers without it loads in a third of the time and memory."""
    sys.modules["torch"] = None  # type: ignore[assignment]
    from transformers import AutoTokenizer  # noqa: F401 - loads what it needs, too

    gc.freeze()  # they stay: the collector need not look at them again


def _counted(
    tokenizer: Any, request: Request, sizes: np.ndarray, rows: np.ndarray
) -> Iterator[list[int]]:
    """The lengths of `rows`, a batch at a time, by this process or by several."""
    batches = [rows[start : start + BATCH_ROWS] for start in range(0, len(rows), BATCH_ROWS)]
    workers = min(request.workers, len(rows) // ROWS_PER_WORKER)
    if workers < 2:
        yield from (_lengths_of(tokenizer, request, sizes, batch) for batch in batches)
        return
    # By its module's name: here it may be `__main__`, which workers do not have.
    from factory.data import tokens as module

    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), initializer=module.start_worker, initargs=(request,)
    )
    with pool:
        yield from pool.map(module.work, batches, chunksize=4)


class _Worker:
    """What a worker process keeps: the request, the tokenizer, the sizes of all lines."""

    state: tuple[Any, Request, np.ndarray]


def start_worker(request: Request) -> None:
    """In a worker: load what every batch needs."""
    child.start_worker()
    os.environ |= _tokenizer_threads(1)
    _Worker.state = prepared(request), request, np.memmap(request.sizes, "<u4", "r")


def work(batch: np.ndarray) -> list[int]:
    """In a worker: the lengths of some rows."""
    tokenizer, request, sizes = _Worker.state
    return _lengths_of(tokenizer, request, sizes, batch)


def _lengths_of(
    tokenizer: Any, request: Request, sizes: np.ndarray, batch: np.ndarray
) -> list[int]:
    lines = pick(request.segments, sizes, batch)
    return list(lengths(tokenizer, [orjson.loads(line) for line in lines]))


def _save_examples(tokenizer: Any, request: Request, sizes: np.ndarray, flags: np.ndarray) -> None:
    """Render a few rows for people to look at."""
    chosen = np.flatnonzero(flags & EXAMPLE != 0)
    examples = []
    lines = pick(request.segments, sizes, chosen)
    for number, line in zip(chosen.tolist(), lines, strict=True):
        row = orjson.loads(line)
        if rendered(tokenizer, row) is not None:
            examples.append((number, row["id"], list(map(tuple, view.segments(tokenizer, row)))))
    Path(request.folder, EXAMPLES_FILE).write_bytes(orjson.dumps(examples))


def examples(folder: Path) -> list[tuple[int, str, list[view.Segment]]]:
    """The rows that the last count rendered, with their ids and segments."""
    found = orjson.loads((folder / EXAMPLES_FILE).read_bytes())
    return [(row, name, [view.Segment(*part) for part in parts]) for row, name, parts in found]


def to_count(sizes: np.ndarray, flags: np.ndarray, limit: int) -> np.ndarray:
    """The wanted rows that are in the sample or have more bytes than `limit`."""
    counted = (flags & SAMPLE != 0) | _may_be_long(sizes, flags, limit)
    return np.flatnonzero((flags & WANTED != 0) & counted)


def can_wait(rows: np.ndarray, sizes: np.ndarray, flags: np.ndarray, limit: int) -> np.ndarray:
    """A mask of those of `rows` that surely fit; of none if their texts are too much to hold."""
    fits = ~_may_be_long(sizes, flags, limit)[rows]
    if sizes[rows[fits]].sum(dtype=np.int64) > HELD_BYTES:
        fits[:] = False
    return fits


def _may_be_long(sizes: np.ndarray, flags: np.ndarray, limit: int) -> np.ndarray:
    long = sizes > max(0, limit)
    long |= (flags & RICH != 0) & (sizes > max(0, limit) // RICH_GROWTH)
    return long


def _as_json(request: Request) -> dict[str, Any]:
    return asdict(request) | {"segments": [(str(s.path), *s[1:]) for s in request.segments]}


def read_request(job: Path) -> Request:
    """In a child: the request that `run` wrote."""
    value = json.loads(job.read_text(encoding="utf-8"))
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
    texts = [rendered(tokenizer, row) for row in rows]
    known = [text for text in texts if text is not None]
    counts = map(len, _encoded(tokenizer, known))
    return (UNRENDERABLE if text is None else next(counts) for text in texts)


def _encoded(tokenizer: Any, texts: list[str]) -> list[Any]:
    """The tokens of each text; from the tokenizer's own library without offsets, twice as fast."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    # What a tokenizer's file may ask for, and transformers turns off at every call.
    backend.no_truncation()
    backend.no_padding()
    return list(backend.encode_batch_fast(texts, add_special_tokens=False))


def rendered(tokenizer: Any, row: Any) -> str | None:
    """The text of a canonical row; None if the template refuses it."""
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(
            template_messages(row), tools=template_tools(row), tokenize=False
        )
    except (TemplateError, TypeError, ValueError, KeyError):
        return None
    return text


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), beside=sys.argv[2:] == [BESIDE]))
