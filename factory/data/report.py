"""`metrics/dataset.json` from the index: every number is a count over profiles and fates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from factory.artifacts import (
    CutReport,
    DatasetReport,
    MixReport,
    PiiReport,
    QualityReport,
    SourceReport,
    SplitReport,
    TokenLengths,
)
from factory.data.canonical import SPLITS
from factory.data.ingest import Source
from factory.data.placement import TRAIN
from factory.data.rows import DROPS, DUPLICATE, REPLACED, Rows
from factory.data.spool import SourceProfile


def build(
    sources: Sequence[Source],
    rows: Rows,
    *,
    hashes: Sequence[str],
    leakage: dict[str, int],
    mix: dict[str, MixReport],
    schema: tuple[int, int],
    cuts: CutReport | None,
    quality: QualityReport | None,
    pii: PiiReport | None,
) -> DatasetReport:
    """Return the report. `schema` is (rows checked, rows in violation)."""
    kept = rows.fate >= 0
    counts = _by_profile(rows)
    rejects = sum((source.rejects for source in sources), Counter[str]())
    filtered = {
        name: int(np.count_nonzero(rows.fate == fate))
        for fate, name in DROPS.items()
        if fate != DUPLICATE
    }
    return DatasetReport(
        read=len(rows.fate) - len(rows.added.rows) + rejects.total(),
        extra=len(rows.added.rows) - int(np.count_nonzero(rows.fate == REPLACED)),
        kept=int(np.count_nonzero(kept)),
        rejected=rejects.total(),
        duplicates=int(np.count_nonzero(rows.fate == DUPLICATE)),
        filtered=sum(filtered.values()),
        reject_reasons=dict(sorted(rejects.items())),
        filter_reasons={name: count for name, count in filtered.items() if count},
        splits={
            name: _split(rows, number, counts[number], hashes[number])
            for number, name in enumerate(SPLITS)
        },
        sources={source.file.name: _source(n, source, rows) for n, source in enumerate(sources)},
        repeated=int(rows.repeats.values.sum()),
        mix=mix,
        tools=_tools(rows.profiles, counts),
        roles=_sum((Counter(p.profile.roles) for p in rows.profiles), counts.sum(axis=0)),
        leakage=leakage,
        schema_checked=schema[0],
        schema_violations=schema[1],
        contaminated=int(np.count_nonzero(rows.fate[rows.contamination.rows] >= 0)),
        findings=_sum((Counter(p.profile.findings) for p in rows.profiles), counts.sum(axis=0)),
        cuts=cuts,
        quality=quality,
        pii=pii,
    )


def _by_profile(rows: Rows) -> np.ndarray:
    """Written rows of each profile, by split: shape (splits, profiles)."""
    size = len(rows.profiles)
    profile = rows.index.column("profile")
    by_split = (profile[rows.fate == split] for split in range(len(SPLITS)))
    counts = np.stack([np.bincount(found, minlength=size) for found in by_split])
    np.add.at(counts[TRAIN], profile[rows.repeats.rows], rows.repeats.values)
    return counts


def _sum(counters: object, weights: np.ndarray) -> dict[str, int]:
    """Add up one counter a profile, each as often as its profile has rows."""
    total: Counter[str] = Counter()
    for counter, weight in zip(counters, weights.tolist(), strict=True):  # type: ignore[call-overload]
        if weight:
            total.update({name: count * weight for name, count in counter.items()})
    return dict(sorted(total.items()))


def _tools(profiles: Sequence[SourceProfile], counts: np.ndarray) -> dict[str, dict[str, int]]:
    calls = [_sum((Counter(p.profile.calls) for p in profiles), by_split) for by_split in counts]
    names = sorted({name for by_split in calls for name in by_split})
    return {
        name: {split: calls[number].get(name, 0) for number, split in enumerate(SPLITS)}
        for name in names
    }


def _split(rows: Rows, number: int, counts: np.ndarray, sha256: str) -> SplitReport:
    pairs = list(zip(rows.profiles, counts.tolist(), strict=True))
    return SplitReport(
        rows=int(counts.sum()),
        sha256=sha256,
        turns=sum(len(p.profile.roles) * count for p, count in pairs),
        tool_calls=sum(len(p.profile.calls) * count for p, count in pairs),
        tokens=token_lengths(rows.tokens.values[rows.fate[rows.tokens.rows] == number]),
    )


def token_lengths(tokens: np.ndarray) -> TokenLengths | None:
    """The distribution over the rows that were counted; None if none was."""
    counted = np.sort(tokens[tokens >= 0])
    if not len(counted):
        return None
    return TokenLengths(
        rows_counted=len(counted),
        total=int(counted.sum()),
        min=int(counted[0]),
        mean=round(float(counted.mean()), 3),
        p50=int(counted[(len(counted) - 1) // 2]),
        p95=int(counted[(len(counted) - 1) * 95 // 100]),
        max=int(counted[-1]),
    )


def _source(number: int, source: Source, rows: Rows) -> SourceReport:
    mine = np.array([profile.source == number for profile in rows.profiles], dtype=bool)
    of_mine = mine[rows.index.column("profile")]
    fate = rows.fate[of_mine]
    replaced = int(np.count_nonzero(fate == REPLACED))
    added = int(np.count_nonzero(of_mine[rows.added.rows]))
    kept, duplicates = int(np.count_nonzero(fate >= 0)), int(np.count_nonzero(fate == DUPLICATE))
    return SourceReport(
        format=source.format.value,
        read=len(fate) - added + source.rejects.total(),
        extra=added - replaced,
        kept=kept,
        rejected=source.rejects.total(),
        duplicates=duplicates,
        filtered=len(fate) - kept - duplicates - replaced,
        splits={name: int(np.count_nonzero(fate == n)) for n, name in enumerate(SPLITS)},
    )
