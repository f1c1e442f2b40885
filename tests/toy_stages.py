"""Two tiny stages for the runner's tests: real files, no models."""

from __future__ import annotations

from factory.artifacts import Check, Decision
from factory.context import Context
from factory.pipeline import Stage

FIRST = Stage(
    name="format",
    purpose="copy",
    after=None,
    reads=lambda context: {"raw.txt": context.workspace.root / "raw.txt"},
    writes=lambda context: {"first.txt": context.workspace.root / "first.txt"},
    settings=("project.name",),
    thresholds="dataset",
    module="tests.toy_first",
)
SECOND = Stage(
    name="baseline",
    purpose="count",
    after="format",
    reads=lambda context: {"first.txt": context.workspace.root / "first.txt"},
    writes=lambda context: {"second.txt": context.workspace.root / "second.txt"},
    settings=("model.name",),
    thresholds="evaluation",
    module="tests.toy_second",
)


def copy(context: Context) -> dict[str, Decision]:
    """first.txt = raw.txt, upper case; one line in runs.txt for each run."""
    root = context.workspace.root
    (root / "first.txt").write_text((root / "raw.txt").read_text().upper())
    with (root / "runs.txt").open("a") as file:
        file.write("first\n")
    return {"case": Decision(value="upper", reason="toy")}


def long_enough(context: Context) -> list[Check]:
    """first.txt has at least dataset.min_samples letters."""
    length = len((context.workspace.root / "first.txt").read_text())
    limit = context.config.dataset.min_samples
    return [
        Check(
            id="format.min_samples",
            value=length,
            threshold=limit,
            passed=length >= limit,
            why=f"{length} letters",
        )
    ]


def count(context: Context) -> dict[str, Decision]:
    """second.txt = the length of first.txt."""
    root = context.workspace.root
    (root / "second.txt").write_text(str(len((root / "first.txt").read_text())))
    with (root / "runs.txt").open("a") as file:
        file.write("second\n")
    return {}


def always(context: Context) -> list[Check]:
    """A gate that is open."""
    return [Check(id="baseline.rows", value=1, threshold=1, passed=True, why="toy")]
