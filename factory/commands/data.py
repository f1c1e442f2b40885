"""`factory data show|stats|diff`: look at what format wrote."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory.commands import invocation
from factory.errors import ConfigError, DataError

if TYPE_CHECKING:
    from factory.artifacts import DatasetReport
    from factory.context import Context

SPLIT_FIELDS = {"train": "path", "val": "validation_path", "test": "test_path"}

UNITS = {"turns by role": "turns", "personal data": "found"}


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Declare the command and its verbs."""
    summary = "look at the formatted data: show a row, statistics, compare two files"
    data = commands.add_parser("data", help=summary, description=summary, allow_abbrev=False)
    verbs = data.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(name: str, summary: str, function: Any) -> Any:
        verb = verbs.add_parser(
            name, help=summary, description=summary, parents=[shared], allow_abbrev=False
        )
        verb.set_defaults(function=function)
        return verb

    show = add("show", "a conversation as the model sees it, trained text marked", _show)
    show.add_argument("--split", choices=SPLIT_FIELDS, default="train", help="default: train")
    show.add_argument("--row", metavar="N", default="1", help="its number or its id (default: 1)")
    add("stats", "what format made of the sources", _stats)
    diff = add("diff", "rows that two files of canonical rows do not share", _diff)
    diff.add_argument("a", metavar="A", help="a split file")
    diff.add_argument("b", metavar="B", help="another one")


def _show(options: argparse.Namespace) -> int:
    from factory import base_model, chat_template, trained_text
    from factory.data import tokens, view

    context = invocation.context(options)
    row = _row(context, options.split, options.row)
    folder = str(base_model.resolve(context).folder)
    tokenizer = tokens.load_tokenizer(folder, chat_template.override(context))
    parts = view.segments(tokenizer, row)
    counted = next(iter(tokens.lengths(tokenizer, [row])))
    if invocation.wants_json(options):
        trained = [part._asdict() for part in parts]
        invocation.print_json({"id": row["id"], "tokens": counted, "segments": trained})
        return 0
    trained_text.show(context.console, parts, f"{row['id']}: {counted} tokens; ")
    return 0


def _row(context: Context, split: str, wanted: str) -> Any:
    """The row with a number (from 1) or an id; DataError if there is none."""
    from factory import storage

    path = context.path(f"dataset.{SPLIT_FIELDS[split]}")
    for number, row in enumerate(storage.read_jsonl(path), start=1):
        if wanted in (str(number), row["id"]):
            return row
    raise DataError(f"no row {wanted!r}", where=context.workspace.relative(path))


def _stats(options: argparse.Namespace) -> int:
    from factory import artifacts
    from factory.artifacts import DatasetReport

    context = invocation.context(options)
    path = context.workspace.dataset_report
    if not path.exists():
        raise ConfigError(
            "format has not been run here",
            where=str(path),
            hint="run: python -m factory run format",
        )
    report = artifacts.load(DatasetReport, path)
    if invocation.wants_json(options):
        invocation.print_json(report.model_dump(mode="json"))
        return 0
    _print(context, report)
    return 0


def _print(context: Context, report: DatasetReport) -> None:
    """The report as tables."""
    table = context.console.table
    table(
        ("source", "format", "read", "added", "kept", "rejected", "duplicates", "filtered"),
        [
            (name, s.format, s.read, s.extra, s.kept, s.rejected, s.duplicates, s.filtered)
            for name, s in report.sources.items()
        ],
    )
    table(
        ("split", "rows", "turns", "tool calls", "tokens mean", "p95", "max"),
        [
            (name, s.rows, s.turns, s.tool_calls, t and t.mean, t and t.p95, t and t.max)
            for name, s in report.splits.items()
            for t in (s.tokens,)
        ],
    )
    if report.mix:
        table(
            ("mix", "asked", "got", "rows", "available", "repeats"),
            [(n, m.asked, m.got, m.rows, m.available, m.repeats) for n, m in report.mix.items()],
        )
    if report.quality:
        scored = [("all", report.quality.all), *report.quality.sources.items()]
        table(
            ("quality", "rows", "filtered", "mean", "p05", "p50"),
            [(name, s.rows, s.filtered, s.mean, s.p05, s.p50) for name, s in scored],
        )
    for title, counts in (
        ("personal data", report.pii.found if report.pii else {}),
        ("left out", {**report.reject_reasons, **report.filter_reasons}),
        ("leaks", report.leakage),
        ("findings", report.findings),
        ("turns by role", report.roles),
    ):
        if counts:
            table((title, UNITS.get(title, "rows")), counts.items())
    if report.tools:
        rows = [
            (name, *(calls[split] for split in SPLIT_FIELDS))
            for name, calls in report.tools.items()
        ]
        table(("tool", *SPLIT_FIELDS), rows)


def _diff(options: argparse.Namespace) -> int:
    from factory.data.compare import compare

    a, b = Path(options.a), Path(options.b)
    found = compare(a, b)
    if invocation.wants_json(options):
        invocation.print_json(found._asdict())
        return 0
    console = invocation.console(options)
    rows = [
        ("in both", found.same),
        ("in both, under another id", found.moved),
        (f"only in {a}", found.only_a),
        (f"only in {b}", found.only_b),
    ]
    console.table(("rows", "number"), rows)
    for path, examples in ((a, found.examples_a), (b, found.examples_b)):
        if examples:
            console.line(f"only in {path}, e.g.: {', '.join(examples)}")
    return 0
