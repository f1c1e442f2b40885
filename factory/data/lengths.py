"""Tokens of the rows: cut what is too long, count what matters, leave out what does not fit."""

from __future__ import annotations

from functools import partial
from random import Random  # numpy's takes longer to load than to draw

import numpy as np

from factory import base_model, chat_template
from factory.artifacts import CutReport
from factory.context import Context
from factory.data import fit, tokens
from factory.data.page import Example
from factory.data.replace import replace
from factory.data.rows import KEPT, NOT_DRAWN, TOO_LONG, UNRENDERABLE, Rows
from factory.data.spool import Spool
from factory.errors import DataError

SAMPLE_ROWS = 5000
EXAMPLES = 10
CANDIDATES = 200  # rows rendered as examples, of which a mix may leave out most


def cut(context: Context, spool: Spool, rows: Rows) -> CutReport | None:
    """Put shorter rows in the place of those that are too long; None if that is not asked for."""
    how = context.config.dataset.excess_length
    if how not in ("truncate", "split"):
        return None
    request = _request(context, spool)
    with context.console.bar("cutting long rows") as bar:
        tokens.run(
            "factory.data.fit",
            request,
            _flags(rows),
            log=context.workspace.logs / "format.log",
            on_progress=lambda done, total: bar.update(done, total=total),
        )
    before = len(rows.fate)
    replace(spool, rows, fit.fitted(spool.folder), renamed=how == "split")
    new, originals = rows.added.rows, rows.added.values
    mine = new >= before
    new, originals = new[mine], np.unique(originals[mine])
    turns = np.array([len(p.profile.roles) for p in rows.profiles], dtype=np.int64)
    profile = rows.index.column("profile")
    removed = turns[profile[originals]].sum() - turns[profile[new]].sum()
    return CutReport(
        how=how,
        rows=len(originals),
        pieces=len(new),
        turns_removed=int(removed) if how == "truncate" else 0,
    )


def measure(
    context: Context, spool: Spool, rows: Rows, counter: tokens.Process | None = None
) -> None:
    """Count tokens where they matter; rows that are too long or unrenderable meet their fate.

    With a `tokens.counter`, rows that are neither are counted meanwhile, until `finish`.
    """
    wanted, seed = rows.fate == KEPT, context.config.dataset.seed
    flags = _flags(rows)
    sample = wanted if context.config.dataset.exact_tokens else _sample(wanted, SAMPLE_ROWS, seed)
    flags[sample] |= tokens.SAMPLE
    flags[_sample(wanted, CANDIDATES, seed)] |= tokens.EXAMPLE
    limit = context.config.model.max_seq_length
    count, title = tokens.count, "counting tokens"
    if counter is not None:
        count, title = partial(tokens.settle, counter), "checking lengths"
    with context.console.bar(title) as bar:
        rows.tokens = count(
            _request(context, spool),
            flags,
            log=context.workspace.logs / "format.log",
            on_progress=lambda done, total: bar.update(done, total=total),
        )
    counted, found = rows.tokens
    too_long = found > limit
    if np.any(too_long) and context.config.dataset.excess_length == "error":
        first = int(np.argmax(too_long))
        raise DataError(
            f"{np.count_nonzero(too_long)} rows are longer than {limit} tokens; this one has "
            f"{found[first]}",
            where="{}:{}".format(*rows.place(int(counted[first]))),
            hint='raise model.max_seq_length, or set dataset.excess_length to "drop", "truncate" '
            'or "split"',
        )
    rows.drop(counted[too_long], TOO_LONG)
    rows.drop(counted[found == tokens.UNRENDERABLE], UNRENDERABLE)


def finish(context: Context, spool: Spool, rows: Rows, counter: tokens.Process | None) -> None:
    """Wait for what `measure` left to the counter."""
    if counter is None:
        return
    with context.console.bar("counting tokens") as bar:
        rows.tokens = tokens.finish(
            counter,
            _request(context, spool),
            log=context.workspace.logs / "format.log",
            on_progress=lambda done, total: bar.update(done, total=total),
        )


def examples(spool: Spool, rows: Rows, seed: int) -> list[Example]:
    """Some rows of those that are written, drawn with the seed from what `measure` rendered."""
    rendered = tokens.examples(spool.folder)
    found = [Example(name, parts) for row, name, parts in rendered if rows.fate[row] >= KEPT]
    drawn = np.flatnonzero(_sample(np.ones(len(found), dtype=bool), EXAMPLES, seed))
    return [found[place] for place in drawn]


def counted(rows: Rows) -> np.ndarray:
    """The lengths that were counted, of all rows but those beyond the share of their source."""
    return rows.tokens.values[rows.fate[rows.tokens.rows] != NOT_DRAWN]


def _flags(rows: Rows) -> np.ndarray:
    wanted = rows.fate == KEPT
    flags = np.zeros(len(wanted), dtype=np.uint8)
    flags[wanted] = tokens.WANTED
    flags[rows.rich()] |= tokens.RICH
    return flags


def _request(context: Context, spool: Spool) -> tokens.Request:
    settings = context.config.dataset
    return tokens.Request(
        tokenizer=str(base_model.resolve(context).folder),
        chat_template=chat_template.override(context),
        max_tokens=context.config.model.max_seq_length,
        segments=spool.segments,
        sizes=str(spool.index.path("size")),
        folder=str(spool.folder),
        workers=settings.workers(),
        excess=settings.excess_length,
    )


def _sample(wanted: np.ndarray, most: int, seed: int) -> np.ndarray:
    """A mask of at most `most` of the wanted rows, drawn with the seed."""
    candidates = np.flatnonzero(wanted)
    size = min(most, len(candidates))
    mask = np.zeros(len(wanted), dtype=bool)
    mask[candidates[Random(seed).sample(range(len(candidates)), size)]] = True
    return mask
