"""`metrics/training.html`: a training on one page, curves as inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from factory.artifacts import Decision
from factory.page import cell, document, section
from factory.status import duration

WIDTH, HEIGHT, LEFT, BOTTOM = 760, 200, 62, 18
# (title, what is drawn: key of the curve, its name, its colour)
CHARTS = (
    ("Loss", (("loss", "training", "#4a7dbd"), ("eval_loss", "validation", "#c8642b"))),
    ("Learning rate", (("learning_rate", "", "#4a7dbd"),)),
    ("Gradient norm", (("grad_norm", "", "#4a7dbd"),)),
)
FACTS = (
    ("total_steps", "steps"),
    ("epochs", "epochs"),
    ("samples", "rows"),
    ("tokens_seen", "tokens seen"),
    ("tokens_per_second", "tokens a second"),
    ("initial_loss", "first loss"),
    ("final_loss", "last loss"),
    ("eval_loss", "last validation loss"),
    ("best_eval_loss", "lowest validation loss"),
    ("best_step", "at step"),
    ("effective_batch_size", "rows a step"),
    ("trainable_parameters", "trained weights"),
    ("total_parameters", "all weights"),
    ("peak_memory_gb", "peak memory in GiB"),
    ("device", "device"),
    ("dtype", "number format"),
    ("attempt", "attempts"),
    ("resumed_from_step", "gone on from step"),
)

Point = tuple[float, float]


def render(
    stats: Mapping[str, Any],
    settings: Mapping[str, Any],
    checkpoints: Sequence[tuple[str, int, float]],
    decisions: Mapping[str, Decision],
) -> str:
    """The page. `stats` is training-stats.json, `settings` train.json.

    `checkpoints` are those still there: name, step, seconds of training until then.
    """
    facts = [(title, _short(stats.get(key))) for key, title in FACTS if stats.get(key) is not None]
    facts.append(("time", duration(stats["duration_seconds"])))
    masked = stats.get("mask") or {}
    parts = [
        f"<h1>Training {escape(str(stats.get('run_id', '')))}</h1>",
        *(f'<p class="bad">{escape(text)}</p>' for text in stats.get("warnings") or []),
        *(part for title, lines in CHARTS for part in _chart(title, stats["curve"], lines)),
        *section("Result", ("", ""), facts),
        *section(
            "Rows and tokens",
            ("split", "count", "number"),
            [(split, name, number) for split in masked for name, number in masked[split].items()],
        ),
        *section(
            "Decisions",
            ("", "value", "because"),
            [(name, _short(one.value), one.reason) for name, one in decisions.items()],
            text=True,
        ),
        *section(
            "Checkpoints",
            ("checkpoint", "step", "time until then"),
            [(name, step, duration(seconds)) for name, step, seconds in checkpoints],
        ),
        *section("Settings", ("field of scripts/train.json", "value"), _flat(settings), text=True),
    ]
    return document("Training", parts)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.5g}" if isinstance(value, float) else cell(value)


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value) of everything in nested settings that is set; texts are cut."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}".strip("."))
    elif value is not None:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        yield name, text if len(text) <= 120 else f"{text[:117]}..."


def _chart(
    title: str, curve: Sequence[Mapping[str, Any]], lines: Sequence[tuple[str, str, str]]
) -> Iterator[str]:
    """A headed chart over the steps; nothing where no point has any of its values."""
    drawn = [
        (name, colour, [(float(p["step"]), float(p[key])) for p in curve if p.get(key) is not None])
        for key, name, colour in lines
    ]
    points = [point for _, _, found in drawn for point in found]
    if not points:
        return
    legend = " ".join(
        f'<span style="color:{colour}">&#9632; {escape(name)}</span>'
        for name, colour, found in drawn
        if name and found
    )
    yield f"<h2>{escape(title)}</h2>" + (f"<p>{legend}</p>" if legend else "")
    yield _svg(title, [(colour, found) for _, colour, found in drawn if found], points)


def _svg(title: str, drawn: Sequence[tuple[str, list[Point]]], points: Sequence[Point]) -> str:
    steps, values = [x for x, _ in points], [y for _, y in points]
    first, last, top = min(steps), max(steps), max(*values, 0.0) or 1.0

    def place(point: Point) -> str:
        across = (point[0] - first) / max(last - first, 1)
        return f"{LEFT + across * (WIDTH - LEFT - 8):.1f},{8 + (1 - point[1] / top) * HEIGHT:.1f}"

    marks = []
    for share in (0.0, 0.5, 1.0):
        y = 8 + (1 - share) * HEIGHT
        marks.append(
            f'<line x1="{LEFT}" x2="{WIDTH - 8}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{top * share:.3g}</text>'
        )
    for colour, found in drawn:
        marks.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" '
            f'points="{" ".join(map(place, found))}"/>'
        )
        if len(found) < 30:
            dots = (place(point).split(",") for point in found)
            marks += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in dots]
    bottom = HEIGHT + 8 + BOTTOM
    marks.append(f'<text x="{LEFT}" y="{bottom}">step {first:g}</text>')
    marks.append(f'<text x="{WIDTH - 8}" y="{bottom}" text-anchor="end">step {last:g}</text>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {bottom + 4}" width="100%" role="img">'
        f"<title>{escape(title)}</title>{''.join(marks)}</svg>"
    )
