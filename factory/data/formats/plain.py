"""Rows of mere texts: where a format keeps them, for the short way that most rows take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from factory.data.conversation import Role


@dataclass(frozen=True, eq=False)
class PlainNames:
    """What a format calls the parts of a row whose turns have a role, a text, and no more.

    turns: the field of the list of turns
    role:  takes the role's name from a turn
    text:  takes the text from a turn
    roles: the source's names of the roles that may have nothing but text
    more:  other fields that turn a row into more than its turns, unless they are empty
    ours:  whether all these names are the canonical ones, so that turns stay as they are
    """

    turns: str
    role: Callable[[Any], Any]
    text: Callable[[Any], Any]
    roles: Mapping[str, Role]
    more: tuple[str, ...]
    ours: bool = False
