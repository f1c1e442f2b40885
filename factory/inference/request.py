"""What the parent asks of a generation process, and what that answers: both plain JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from factory import storage

Engine = Literal["transformers", "llama_cpp"]


@dataclass(frozen=True)
class Request:
    """One measurement: which model answers which rows, and how.

    `model` is a folder (transformers) or a GGUF file (llama_cpp); `tokenizer` is the folder whose
    template renders the prompts; `ids` are the rows to ask, in the file's order.
    """

    engine: Engine
    model: str
    adapter: str | None
    tokenizer: str
    chat_template: str | None
    rows: str
    ids: list[str]
    turns: str
    output: str
    max_new_tokens: int
    batch_size: int
    dtype: str
    load_in_4bit: bool
    threads: int
    max_seq_length: int
    losses: bool

    def save(self, path: Path) -> None:
        """Write the request where the child will read it."""
        storage.write_json(path, asdict(self))


def read(path: Path) -> Request:
    """The request the parent wrote."""
    values: dict[str, Any] = storage.read_json(path)
    return Request(**values)


@dataclass(frozen=True)
class Answer:
    """What the model said in one turn.

    `nll` is the summed negative log-likelihood (nats) of the expected turn's `tokens` tokens
    given the prompt; None where the engine does not measure it. `tokens_differ`: llama.cpp
    tokenizes the prompt unlike the tokenizer.
    """

    row_id: str
    turn: int
    text: str
    generated_tokens: int
    truncated: bool
    nll: float | None
    tokens: int
    tokens_differ: bool = False

    def as_json(self) -> dict[str, Any]:
        """One line of the answers file."""
        return asdict(self)
