"""The page about a data set shows everything as text and loads nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from factory.artifacts import CutReport, MixReport, PiiReport, QualityReport, ScoreReport
from factory.data import page
from factory.data.clusters import Cluster, Member
from factory.data.view import Segment
from tests.data.test_gate import report

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>'


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.found.add(tag)
        assert not {name for name, _ in attributes} & {"src", "href", "onerror", "onclick"}


def test_text_of_rows_tools_and_sources_is_only_text() -> None:
    found = report(
        findings={HOSTILE: 1}, tools={HOSTILE: {"train": 1}}, reject_reasons={HOSTILE: 20}
    )
    examples = [page.Example(HOSTILE, [Segment(HOSTILE, False), Segment(HOSTILE, True)])]
    tags = Tags()
    clusters = [Cluster(HOSTILE, 2, [Member(HOSTILE, HOSTILE), Member("b:2", HOSTILE)])]
    tags.feed(page.render(found, np.array([3, 5, 900]), examples, clusters))
    assert tags.found.isdisjoint({"script", "img", "link", "iframe"})


def test_trained_text_is_marked() -> None:
    examples = [page.Example("1", [Segment("asked", False), Segment("said", True)])]
    html = page.render(report(), np.array([], dtype=np.int64), examples)
    assert "asked<mark>said</mark>" in html


def test_all_that_people_look_for_is_on_the_page() -> None:
    scores = ScoreReport(rows=9, filtered=1, mean=0.9, p05=0.3, p50=1.0)
    found = report(
        extra=3,
        roles={"user": 5},
        tools={"look": {"train": 1, "val": 0, "test": 0}},
        mix={"chat": MixReport(asked=0.5, got=0.5, rows=600, available=900)},
        cuts=CutReport(how="split", rows=1, pieces=4, turns_removed=0),
        pii=PiiReport(action="mask", rows=2, found={"email": 3}, rows_with={"email": 2}),
        quality=QualityReport(
            all=scores,
            sources={"a.jsonl": scores},
            histogram=[0] * 9 + [9],
            worst={"ending": 1},
            rule_means={"ending": 0.9},
        ),
        leakage={"content": 1},
    )
    clusters = [
        Cluster("near", 7, [Member("a.jsonl:1", "Show it"), Member("b.jsonl:2", "show it")])
    ]
    html = page.render(found, np.array([3, 5]), [], clusters)
    heads = ["Splits", "Tokens a row", "Sources", "Mix", "Long rows", "Quality by rules"]
    heads += ["Personal data and secrets", "Leaks", "Largest clusters of duplicates"]
    heads += ["Turns by role", "Tool calls", "Rows, as the model sees them"]
    assert [title for title in heads if f"<h2>{title}</h2>" not in html] == []
    assert "<td>b.jsonl:2</td><td>show it</td>" in html
    assert "<td class=bad>1</td>" in html and "+ 3 by splitting" in html
