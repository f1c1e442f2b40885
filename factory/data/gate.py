"""What a data set has to show before anything is trained on it."""

from __future__ import annotations

from factory.artifacts import Check, DatasetReport, PiiReport
from factory.config import Config


def judge_dataset(report: DatasetReport, config: Config) -> list[Check]:
    """Judge `metrics/dataset.json` against the thresholds of the configuration."""
    return [
        _counts(report),
        _schema(report),
        _min_samples(report, config.dataset.min_samples),
        _recommended_samples(report, config.dataset.recommended_samples),
        _splits(report),
        _leakage(report),
        _contamination(report),
        _rejected_share(report, config.dataset.max_rejected_share),
        *([_pii(report.pii)] if report.pii else []),
    ]


def _counts(report: DatasetReport) -> Check:
    """Nothing may get lost between what was read and what was written."""
    accounted = report.kept + report.rejected + report.duplicates + report.filtered
    written = sum(split.rows for split in report.splits.values())
    extra = f" + {report.extra} by splitting" if report.extra else ""
    return Check(
        id="format.counts",
        value=[report.read, accounted, report.kept, written],
        threshold="read + extra = kept + rejected + duplicates + filtered, "
        "kept + repeated = rows of all splits",
        passed=report.read + report.extra == accounted and report.kept + report.repeated == written,
        why=(
            f"{report.read} read{extra} = {report.kept} kept + {report.rejected} rejected + "
            f"{report.duplicates} duplicates + {report.filtered} filtered; "
            f"{written} written{_again(report)}"
        ),
    )


def _again(report: DatasetReport) -> str:
    return f", {report.repeated} of them again (upsample)" if report.repeated else ""


def _schema(report: DatasetReport) -> Check:
    passed = report.schema_violations == 0 and report.schema_checked > 0
    written = sum(split.rows for split in report.splits.values())
    return Check(
        id="format.schema",
        value=report.schema_violations,
        threshold=0,
        passed=passed,
        why=(
            f"{report.schema_violations} of {report.schema_checked} rows that were read back, of "
            f"{written} written, break the schema of the canonical row"
        ),
    )


def _min_samples(report: DatasetReport, minimum: int) -> Check:
    return Check(
        id="format.min_samples",
        value=report.kept,
        threshold=minimum,
        passed=report.kept >= minimum,
        why=f"{report.kept} rows kept, at least {minimum} are needed (dataset.min_samples)",
    )


def _recommended_samples(report: DatasetReport, recommended: int) -> Check:
    return Check(
        id="format.recommended_samples",
        value=report.kept,
        threshold=recommended,
        passed=report.kept >= recommended,
        why=f"{report.kept} rows kept, {recommended} or more usually train better",
        severity="warning",
    )


def _splits(report: DatasetReport) -> Check:
    empty = [name for name in ("train", "val", "test") if not _rows(report, name)]
    return Check(
        id="format.splits",
        value=empty,
        threshold=[],
        passed=not empty,
        why=f"empty: {', '.join(empty)}" if empty else "train, val and test have rows",
    )


def _rows(report: DatasetReport, name: str) -> int:
    split = report.splits.get(name)
    return split.rows if split else 0


def _leakage(report: DatasetReport) -> Check:
    found = sum(report.leakage.values())
    kinds = ", ".join(f"{count} by {kind}" for kind, count in report.leakage.items() if count)
    return Check(
        id="format.leakage",
        value=found,
        threshold=0,
        passed=bool(report.leakage) and found == 0,
        why=f"rows that are in an earlier split, too: {kinds}" if kinds else "no row in two splits",
    )


def _contamination(report: DatasetReport) -> Check:
    return Check(
        id="format.contamination",
        value=report.contaminated,
        threshold=0,
        passed=report.contaminated == 0,
        why=f"{report.contaminated} kept rows repeat a row of dataset.decontaminate",
    )


def _pii(report: PiiReport) -> Check:
    """Asked to report, the gate warns; masked or left out, nothing is left to warn of."""
    left = report.rows if report.action == "report" else 0
    return Check(
        id="format.pii",
        value=left,
        threshold=0,
        passed=left == 0,
        why=f"{left} rows still hold personal data or secrets, of {report.rows} that had any",
        severity="warning",
    )


def _rejected_share(report: DatasetReport, most: float) -> Check:
    share = report.rejected / report.read if report.read else 1.0
    return Check(
        id="format.rejected_share",
        value=round(share, 6),
        threshold=most,
        passed=report.read > 0 and share <= most,
        why=f"{report.rejected} of {report.read} rows were rejected ({share:.1%})",
    )
