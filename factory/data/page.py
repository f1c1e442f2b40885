"""`metrics/dataset.html`: the data set on one page, without scripts or anything from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from factory.artifacts import CutReport, DatasetReport, PiiReport, QualityReport
from factory.data.clusters import Cluster
from factory.data.view import Segment
from factory.page import document, section, table

BARS = 40


class Example(NamedTuple):
    """One row as the model sees it."""

    id: str
    segments: list[Segment]


def render(
    report: DatasetReport,
    tokens: np.ndarray,
    examples: Sequence[Example],
    clusters: Sequence[Cluster] = (),
) -> str:
    """Return the page. `tokens` are the lengths that were counted; text of rows is only text."""
    left_out = {**report.reject_reasons, **report.filter_reasons}
    extra = f" + {report.extra:,} by splitting long rows" if report.extra else ""
    parts = [
        f"<h1>{report.kept:,} rows</h1>",
        f"<p>{report.read:,} read{extra} = {report.kept:,} kept + {report.rejected:,} rejected + "
        f"{report.duplicates:,} duplicates + {report.filtered:,} filtered. "
        "Every row left out is explained in <code>data/rejects.jsonl</code>.</p>",
        "<h2>Splits</h2>",
        table(
            ("split", "rows", "turns", "tool calls", "tokens p50", "p95", "max"),
            [
                (name, s.rows, s.turns, s.tool_calls, t and t.p50, t and t.p95, t and t.max)
                for name, s in report.splits.items()
                for t in (s.tokens,)
            ],
        ),
        "<h2>Tokens a row</h2>",
        _histogram(tokens),
        "<h2>Sources</h2>",
        table(
            ("source", "format", "read", "added", "kept", "rejected", "duplicates", "filtered"),
            [
                (name, s.format, s.read, s.extra, s.kept, s.rejected, s.duplicates, s.filtered)
                for name, s in report.sources.items()
            ],
        ),
        *section(
            "Mix",
            ("source", "asked", "got", "rows", "available", "repeats"),
            [
                (name, _share(m.asked), _share(m.got), m.rows, m.available, m.repeats)
                for name, m in report.mix.items()
            ],
        ),
        *section("Left out", ("reason", "rows"), left_out.items()),
        *_cuts(report.cuts),
        *_quality(report.quality),
        *_pii(report.pii),
        *_leaks(report),
        *_clusters(clusters),
        *section("Findings", ("finding", "rows"), report.findings.items()),
        *section("Turns by role", ("role", "turns"), report.roles.items()),
        *section(
            "Tool calls",
            ("tool", *report.splits),
            [(name, *calls.values()) for name, calls in report.tools.items()],
        ),
        "<h2>Rows, as the model sees them</h2><p><mark>Marked</mark> text is trained.</p>",
        *(_example(example) for example in examples),
    ]
    return document("Data set", parts)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _histogram(tokens: np.ndarray) -> str:
    """Bars of equal width over the counted rows, as inline SVG."""
    counted = tokens[tokens >= 0]
    if not len(counted):
        return "<p>No row was counted.</p>"
    heights, edges = np.histogram(counted, bins=BARS)
    top = max(int(heights.max()), 1)
    bars = "".join(
        f'<rect x="{place * 16}" y="{120 - 120 * height / top:.1f}" width="14" '
        f'height="{120 * height / top:.1f}" fill="#4a7dbd"><title>{edges[place]:.0f} to '
        f"{edges[place + 1]:.0f} tokens: {height} rows</title></rect>"
        for place, height in enumerate(heights.tolist())
    )
    width = BARS * 16
    marks = "".join(
        f'<text x="{width * part / 4:.0f}" y="135" text-anchor="{anchor}">'
        f"{edges[0] + (edges[-1] - edges[0]) * part / 4:,.0f}</text>"
        for part, anchor in enumerate(("start", "middle", "middle", "middle", "end"))
    )
    return (
        f'<svg viewBox="0 0 {width} 140" width="100%" role="img">{bars}{marks}</svg>'
        f"<p>Tokens a row; the highest bar is {top:,} rows. {len(counted):,} rows counted: "
        f"median {np.median(counted):,.0f}, longest {counted.max():,}.</p>"
    )


def _cuts(cuts: CutReport | None) -> list[str]:
    if cuts is None:
        return []
    row = (cuts.how, cuts.rows, cuts.pieces, cuts.turns_removed)
    return section("Long rows", ("what was done", "rows", "rows now", "turns left out"), [row])


def _quality(report: QualityReport | None) -> list[str]:
    """Scores by source, their distribution, and the rules that lowered them."""
    if report is None:
        return []
    columns = ("source", "rows", "filtered", "mean", "p05", "p50")
    sources = [("all", report.all), *report.sources.items()]
    bins = len(report.histogram)
    spread = [
        (f"{place / bins:.1f} to {(place + 1) / bins:.1f}", rows)
        for place, rows in enumerate(report.histogram)
    ]
    rules = [(name, report.worst.get(name, 0), mean) for name, mean in report.rule_means.items()]
    return [
        "<h2>Quality by rules</h2>",
        table(columns, [(name, s.rows, s.filtered, s.mean, s.p05, s.p50) for name, s in sources]),
        table(("score", "rows"), spread),
        table(("rule", "rows it lowered most", "mean"), rules),
    ]


def _pii(report: PiiReport | None) -> list[str]:
    if report is None:
        return []
    done = {"report": "kept", "mask": "masked", "drop": "left out"}[report.action]
    rows = [(kind, count, report.rows_with[kind]) for kind, count in report.found.items()]
    return [
        "<h2>Personal data and secrets</h2>",
        f"<p>{report.rows:,} rows, {done}; <code>data/findings.jsonl</code> says where.</p>",
        *([table(("kind", "found", "rows"), rows)] if rows else []),
    ]


def _leaks(report: DatasetReport) -> list[str]:
    """Rows that are in an earlier split, too, or in a benchmark; none is what one wants to see."""
    leaks = {**report.leakage, "benchmark": report.contaminated}
    rows = "".join(
        f"<tr><td>{escape(kind)}</td><td{' class=bad' if count else ''}>{count:,}</td></tr>"
        for kind, count in leaks.items()
    )
    return [f"<h2>Leaks</h2><table><tr><th>kind</th><th>rows</th></tr>{rows}</table>"]


def _clusters(clusters: Sequence[Cluster]) -> list[str]:
    """The largest clusters of each kind, each with its first rows."""
    if not clusters:
        return []
    rows = []
    for cluster in clusters:
        for place, member in enumerate(cluster.members):
            heads = (cluster.kind, f"{cluster.rows:,}") if place == 0 else ("", "")
            cells = (*heads, member.place, member.excerpt)
            rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    return [
        "<h2>Largest clusters of duplicates</h2>",
        "<table class=text><tr><th>kind</th><th>rows</th><th>file and line</th><th>text</th></tr>",
        *rows,
        "</table>",
    ]


def _example(example: Example) -> str:
    text = "".join(
        f"<mark>{escape(part.text)}</mark>" if part.trained else escape(part.text)
        for part in example.segments
    )
    return f"<h3>{escape(example.id)}</h3><pre>{text}</pre>"
