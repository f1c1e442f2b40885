"""The figures of a model that decide its size: layers, widths, heads, vocabulary.

Read from a model folder's config.json, or from `architectures.toml`, where the figures that the
authors of well-known base models publish are kept, so that nothing has to be downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from factory import storage
from factory.errors import ConfigError

PUBLISHED = Path(__file__).resolve().parent / "architectures.toml"


@dataclass(frozen=True)
class Architecture:
    """A decoder of gated feed-forward layers; names and meaning as in config.json."""

    hidden_size: int
    num_hidden_layers: int
    intermediate_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    tie_word_embeddings: bool
    num_local_experts: int = 1
    num_experts_per_tok: int = 1
    other_parameters: int = 0
    published_parameters: int | None = None

    def modules(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one decoder layer by PEFT's names: (inputs, outputs)."""
        queries = self.num_attention_heads * self.head_dim
        keys = self.num_key_value_heads * self.head_dim
        return {
            "q_proj": (self.hidden_size, queries),
            "k_proj": (self.hidden_size, keys),
            "v_proj": (self.hidden_size, keys),
            "o_proj": (queries, self.hidden_size),
            "gate_proj": (self.hidden_size, self.intermediate_size),
            "up_proj": (self.hidden_size, self.intermediate_size),
            "down_proj": (self.intermediate_size, self.hidden_size),
        }

    @property
    def linear_parameters(self) -> int:
        """Weights of the linear layers: what 4-bit loading quantizes."""
        total = 0
        for name, (inputs, outputs) in self.modules().items():
            experts = self.num_local_experts if name in FEED_FORWARD else 1
            total += inputs * outputs * experts
        return total * self.num_hidden_layers

    @property
    def embedding_parameters(self) -> int:
        """Weights of the token embedding and of the output layer, if it has its own."""
        return self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)

    @property
    def parameters(self) -> int:
        """All weights but norms and biases, which are less than a thousandth."""
        return self.linear_parameters + self.embedding_parameters + self.other_parameters


FEED_FORWARD = ("gate_proj", "up_proj", "down_proj")


def of_model(name: str, *, root: Path | None = None) -> Architecture | None:
    """The figures of `model.name`: a folder below `root`, or a published base; None if unknown."""
    if root is not None and (root / name / "config.json").is_file():
        return of_folder(root / name)
    return published().get(name)


def of_folder(folder: Path) -> Architecture:
    """Read config.json of a model folder; ConfigError when a figure is missing."""
    values = storage.read_json(folder / "config.json")
    # Models that see keep the figures of their language part one level down.
    return _architecture(values.get("text_config") or values, where=str(folder / "config.json"))


@cache
def published() -> dict[str, Architecture]:
    """The published base models, by each of their names."""
    from factory.presets import read_toml

    found = {}
    for name, values in read_toml(PUBLISHED).items():
        architecture = _architecture(values, where=f"architectures.toml [{name}]")
        for alias in (name, *values.get("also", ())):
            found[alias] = architecture
    return found


def _architecture(values: dict[str, Any], *, where: str) -> Architecture:
    try:
        heads = int(values["num_attention_heads"])
        return Architecture(
            hidden_size=int(values["hidden_size"]),
            num_hidden_layers=int(values["num_hidden_layers"]),
            intermediate_size=int(values["intermediate_size"]),
            num_attention_heads=heads,
            num_key_value_heads=int(values.get("num_key_value_heads") or heads),
            head_dim=int(values.get("head_dim") or values["hidden_size"] // heads),
            vocab_size=int(values["vocab_size"]),
            tie_word_embeddings=bool(values.get("tie_word_embeddings", False)),
            num_local_experts=int(values.get("num_local_experts") or 1),
            num_experts_per_tok=int(values.get("num_experts_per_tok") or 1),
            other_parameters=int(values.get("other_parameters", 0)),
            published_parameters=values.get("parameters"),
        )
    except KeyError as error:
        raise ConfigError(f"no {error.args[0]}: not a decoder that is known", where=where) from None
