"""The page about a data set shows everything as text and loads nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from factory.data import page
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
    tags.feed(page.render(found, np.array([3, 5, 900]), examples))
    assert tags.found.isdisjoint({"script", "img", "link", "iframe"})


def test_trained_text_is_marked() -> None:
    examples = [page.Example("1", [Segment("asked", False), Segment("said", True)])]
    html = page.render(report(), np.array([], dtype=np.int64), examples)
    assert "asked<mark>said</mark>" in html
