"""Sample rows: the shapes that the shipped systems take, each row once, the same each time."""

import json

import pytest

from factory import presets, samples


@pytest.mark.parametrize("group", samples.SHAPES)
def test_rows_are_distinct_and_repeatable(group: str) -> None:
    shape = samples.SHAPES[group]
    rows = [json.dumps(row, sort_keys=True) for row in samples.generate(shape)]
    assert len(set(rows)) == samples.ROWS
    assert rows == [json.dumps(row, sort_keys=True) for row in samples.generate(shape)]


def test_every_shipped_expert_has_a_shape() -> None:
    catalog = presets.load()
    groups = {catalog.expert(name).group for name in catalog.names("experts")}
    assert groups == set(samples.SHAPES)
