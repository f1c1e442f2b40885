"""Rows below the quality that is asked for are left out; the scores are reported."""

from __future__ import annotations

import numpy as np

from factory.artifacts import QualityReport, ScoreReport
from factory.config import Dataset
from factory.data.quality import RULE_NAMES, score_lines
from factory.data.rows import KEPT, LOW_SCORE, Rows
from factory.data.scan import scan
from factory.data.spool import Spool

BINS = 10


def is_wanted(settings: Dataset) -> bool:
    """Whether rows are to be scored: as configured, or where a least quality is."""
    if settings.quality_rules is not None:
        return settings.quality_rules
    return any(settings.min_quality_of(entry) is not None for entry in settings.entries())


def grade(spool: Spool, rows: Rows, settings: Dataset) -> QualityReport:
    """Score every row that is still kept, leave out those below the least quality of their source.

    Takes five bytes a row while it runs, and the reasons of the rows that are left out.
    """
    kept = np.flatnonzero(rows.fate == KEPT)
    scores = np.empty(len(kept), dtype=np.float32)
    worst = np.empty(len(kept), dtype=np.int8)
    sums = np.zeros(len(RULE_NAMES))
    done = 0
    for chunk, found in scan(spool, kept, score_lines, settings.workers()):
        part = slice(done, done + len(chunk))
        scores[part], worst[part] = found.min(axis=1), found.argmin(axis=1)
        sums += found.sum(axis=0, dtype=np.float64)
        done += len(chunk)
    profile = rows.index.column("profile")[kept]
    source = np.array([p.source for p in rows.profiles], dtype=np.int32)[profile]
    least = _least(rows, settings)[source]
    low = np.flatnonzero(scores < least)
    for place in low.tolist():
        rows.remarks[int(kept[place])] = (
            f"{scores[place]:.2f} < {least[place]:g}: {RULE_NAMES[worst[place]]}"
        )
    rows.drop(kept[low], LOW_SCORE)
    blamed = np.bincount(worst[scores < 1], minlength=len(RULE_NAMES)).tolist()
    return QualityReport(
        all=_report(scores, scores < least),
        sources={
            file.name: _report(scores[source == number], (scores < least)[source == number])
            for number, file in enumerate(rows.files)
        },
        histogram=np.histogram(scores, bins=BINS, range=(0, 1))[0].tolist(),
        worst={name: count for name, count in zip(RULE_NAMES, blamed, strict=True) if count},
        rule_means={
            name: round(float(total / max(len(kept), 1)), 4)
            for name, total in zip(RULE_NAMES, sums, strict=True)
        },
    )


def _least(rows: Rows, settings: Dataset) -> np.ndarray:
    """The least quality of each source; 0, which every row has, where none is asked for."""
    entries = settings.entries()
    wanted = [settings.min_quality_of(entries[file.reading.entry]) for file in rows.files]
    return np.array([0.0 if least is None else least for least in wanted], dtype=np.float32)


def _report(scores: np.ndarray, low: np.ndarray) -> ScoreReport:
    if not len(scores):
        return ScoreReport(rows=0, filtered=0, mean=None, p05=None, p50=None)
    p05, p50 = np.quantile(scores, (0.05, 0.5), method="lower")
    return ScoreReport(
        rows=len(scores),
        filtered=int(np.count_nonzero(low)),
        mean=round(float(scores.mean(dtype=np.float64)), 4),
        p05=round(float(p05), 4),
        p50=round(float(p50), 4),
    )
