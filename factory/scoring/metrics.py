"""From scored turns to metrics: over all rows, by tool, by tag."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from factory.artifacts import Metrics
from factory.scoring.statistics import Ratio
from factory.scoring.tool_calls import CallScore

# Raised whenever a scorer could give another number for the same text: reports made with
# different versions are not comparable.
SCORER_VERSION = 2
COMPARED = ("exact_match", "tool_accuracy", "parameter_f1", "text_match", "loss")


@dataclass(frozen=True)
class ScoredTurn:
    """One assistant turn: what was expected, what came, how it scored.

    `call` is set for turns that are to call tools, `answer` where an answer pattern applies,
    `text` (normalised equality) for every other turn.
    """

    row_id: str
    turn: int
    nll: float | None
    tokens: int
    truncated: bool
    broken: bool
    call: CallScore | None = None
    answer: bool | None = None
    text: bool | None = None
    tools: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def exact(self) -> bool | None:
        """Whether the turn is right, where right and wrong are defined: calls and answers."""
        return self.call.exact if self.call else self.answer


def ratio(metric: str, turns: Sequence[ScoredTurn], rows: Sequence[str]) -> Ratio:
    """`metric` as sums over the turns of each row in `rows` (order kept)."""
    place = {row: index for index, row in enumerate(rows)}
    numerator, denominator = [0.0] * len(rows), [0.0] * len(rows)
    for turn in turns:
        over, under = _PARTS[metric](turn)
        numerator[place[turn.row_id]] += over
        denominator[place[turn.row_id]] += under
    return Ratio(numerator, denominator)


def _share(value: bool | None) -> tuple[float, float]:
    return (0.0, 0.0) if value is None else (float(value), 1.0)


def _f1(turn: ScoredTurn) -> tuple[float, float]:
    call = turn.call
    if call is None:
        return 0.0, 0.0
    hits = 2.0 * call.true_positives
    return hits, hits + call.false_positives + call.false_negatives


def _precision(turn: ScoredTurn) -> tuple[float, float]:
    call = turn.call
    return (call.true_positives, call.true_positives + call.false_positives) if call else (0, 0)


def _recall(turn: ScoredTurn) -> tuple[float, float]:
    call = turn.call
    return (call.true_positives, call.true_positives + call.false_negatives) if call else (0, 0)


def _loss(turn: ScoredTurn) -> tuple[float, float]:
    return (0.0, 0.0) if turn.nll is None else (turn.nll, turn.tokens)


_PARTS = {
    "exact_match": lambda turn: _share(turn.exact),
    "tool_accuracy": lambda turn: _share(turn.call.tool if turn.call else None),
    "parameter_precision": _precision,
    "parameter_recall": _recall,
    "parameter_f1": _f1,
    "text_match": lambda turn: _share(turn.text),
    "loss": _loss,
}


def summarise(turns: Sequence[ScoredTurn]) -> Metrics:
    """All metrics over `turns`; what does not apply to them is None."""
    rows = list(dict.fromkeys(turn.row_id for turn in turns))
    values = {metric: ratio(metric, turns, rows).value() for metric in _PARTS}
    loss = values["loss"]
    return Metrics(
        rows=len(rows),
        turns=len(turns),
        tool_turns=sum(turn.call is not None for turn in turns),
        text_turns=sum(turn.call is None for turn in turns),
        perplexity=None if loss is None else math.exp(min(loss, 700.0)),
        invalid_calls=sum(turn.broken for turn in turns),
        truncated=sum(turn.truncated for turn in turns),
        **values,
    )


def by_tool(turns: Iterable[ScoredTurn]) -> dict[str, Metrics]:
    """Metrics of the turns that are to call each tool."""
    groups: dict[str, list[ScoredTurn]] = {}
    for turn in turns:
        for tool in sorted(set(turn.tools)):
            groups.setdefault(tool, []).append(turn)
    return {tool: summarise(groups[tool]) for tool in sorted(groups)}


def by_tag(turns: Iterable[ScoredTurn]) -> dict[str, dict[str, Metrics]]:
    """Metrics of the turns whose row carries each tag value, e.g. phrasing -> unseen."""
    groups: dict[tuple[str, str], list[ScoredTurn]] = {}
    for turn in turns:
        for tag, value in turn.tags.items():
            groups.setdefault((tag, value), []).append(turn)
    found: dict[str, dict[str, Metrics]] = {}
    for tag, value in sorted(groups):
        found.setdefault(tag, {})[value] = summarise(groups[tag, value])
    return found
