"""Why a data set of another tool's list cannot be read here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from factory.errors import did_you_mean


class Refused(Exception):
    """`place` names the data set and its field."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(why)
        self.place = place


def require_table(value: Any, place: str) -> dict[str, Any]:
    """A table of settings, without those that are set to nothing."""
    if not isinstance(value, dict):
        raise Refused(place, "not a table of settings")
    return {name: inner for name, inner in value.items() if inner is not None}


def refuse(given: Mapping[str, Any], reasons: Mapping[str, str], place: str) -> None:
    """Refuse settings that have no counterpart here, unless they are switched off."""
    for name, why in reasons.items():
        if given.get(name):
            raise Refused(f"{place}.{name}", why)


def require_known(given: Iterable[str], known: Iterable[str], place: str) -> None:
    """Refuse a setting that the other tool has not either: a typo."""
    known = list(known)
    for name in given:
        if name not in known:
            raise Refused(f"{place}.{name}", f"unknown field{did_you_mean(name, known)}")
