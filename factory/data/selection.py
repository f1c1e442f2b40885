"""Which rows of a source are wanted, by what they say of themselves."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from factory.data.formats import Reader, Turns, alpaca
from factory.data.rejection import Rejected, excerpt

QUALITY, DOMAIN = "quality_score", "domain"


class Selection(NamedTuple):
    """`dataset.prompt_template`, `.min_quality`, `.domains` and `.system_prompt`."""

    prompt_template: str = ""
    min_quality: float | None = None
    domains: frozenset[str] = frozenset()
    system_prompt: str = ""


EVERYTHING = Selection()


def selected(read: Reader, selection: Selection) -> Reader:
    """`read` with the texts of `selection`, refusing rows that it does not want.

    Rows without a quality or a domain of their own are kept. Without a selection `read` itself is
    returned, so that plain rows keep their short way.
    """
    if selection.prompt_template and read is alpaca.read:
        read = partial(alpaca.read, template=selection.prompt_template)
    if selection.system_prompt:
        read = partial(_read_addressed, read=read, system_prompt=selection.system_prompt)
    if selection.min_quality is None and not selection.domains:
        return read
    return partial(_read_wanted, read=read, selection=selection)


def _read_addressed(row: dict[str, Any], *, read: Reader, system_prompt: str) -> Turns:
    """The turns, opened by `system_prompt` unless they have a system turn of their own."""
    messages, tools = read(row)
    if messages[0]["role"] != "system":
        messages = [{"role": "system", "content": system_prompt}, *messages]
    return messages, tools


def _read_wanted(row: dict[str, Any], *, read: Reader, selection: Selection) -> Turns:
    quality, domain = row.get(QUALITY), row.get(DOMAIN)
    if selection.min_quality is not None and quality is not None:
        if type(quality) not in (int, float):
            raise Rejected("bad_field", f"{QUALITY}: {excerpt(quality)}")
        if quality < selection.min_quality:
            raise Rejected("low_quality", f"{quality} < {selection.min_quality}")
    if selection.domains and domain is not None and domain not in selection.domains:
        raise Rejected("other_domain", excerpt(domain))
    return read(row)
