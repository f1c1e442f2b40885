"""Quick tests run first: a failure shows in seconds, and one closing line counts them all."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the tests that train or convert models to the end; keep the order otherwise."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
