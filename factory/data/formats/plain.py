"""Rows of mere texts: where a format keeps them, for the short way that most rows take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from factory.data.conversation import Role


@dataclass(frozen=True, eq=False)
class PlainNames:
    """What a format calls the parts of a row whose turns have a role, a text, and no more.

    turns: the field of the list of turns
    role:  the field of a turn that names its role
    text:  the field of its text
    roles: the source's names of the roles that may have nothing but text
    more:  other fields that turn a row into more than its turns, unless they are empty
    ours:  whether all these names are the canonical ones, so that turns stay as they are
    """

    turns: str
    role: str
    text: str
    roles: Mapping[str, Role]
    more: tuple[str, ...]
    ours: bool = False
