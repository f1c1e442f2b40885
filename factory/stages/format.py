"""Stage 1, format: raw examples -> validated, de-duplicated, leak-free splits."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np

from factory import artifacts, base_model, chat_template, ledger, storage, template_probe
from factory.artifacts import (
    Check,
    CutReport,
    DatasetReport,
    Decision,
    MixReport,
    PiiReport,
    QualityReport,
)
from factory.context import Context
from factory.data import (
    clusters,
    dedup,
    gate,
    grading,
    lengths,
    mix,
    page,
    pii,
    placement,
    privacy,
    reasoning,
    report,
    schema,
    semantic,
    sources,
    tokens,
    work,
)
from factory.data.canonical import SPLITS
from factory.data.contamination import Benchmarks
from factory.data.ingest import ingest
from factory.data.markup import NO_TOKENS, SpecialTokens, special_tokens
from factory.data.near import near_duplicates
from factory.data.rows import (
    CONTAMINATED,
    DUPLICATE,
    KEPT,
    NEAR_DUPLICATE,
    NOT_DRAWN,
    SAME_MEANING,
    Rows,
    Values,
)
from factory.data.spool import Spool
from factory.data.write import copies, write_drops, write_splits

LEFT_OUT = len(SPLITS)  # the label, for the search of duplicates, of rows that have met their fate


def run(context: Context) -> dict[str, Decision]:
    """Write data/splits, data/rejects.jsonl and metrics/dataset.json from the raw sources.

    Raises DataError when there is no row to read or the model's tokenizer is of no use.
    """
    _check_extras(context)
    paths = [context.path(f"dataset.{key}") for key in ("path", "validation_path", "test_path")]
    files = sources.configured(context)
    workers = work.choose_workers(files, context.config.dataset.num_proc)
    beside = workers.value > 1  # one worker uses one core
    with (
        Spool(context.workspace.state) as spool,
        storage.atomic_write(context.workspace.rejects) as rejects,
        tokens.counter(spool.folder, context.config.dataset.workers())
        if beside
        else nullcontext() as counter,
    ):
        with work.pool(workers.value) as pool:
            thoughts = _try_template(context)
            with context.console.bar("reading", total=len(files)) as bar:
                found = ingest(
                    files,
                    context.config.dataset,
                    spool,
                    rejects,
                    _special_tokens(context),
                    thoughts.value,
                    pool,
                    bar,
                )
        rows = Rows(spool.index, spool.profiles(), files)
        private = _find_private(context, spool, rows)
        quality = _drop_low_quality(context, spool, rows)
        cuts = lengths.cut(context, spool, rows)
        _drop_duplicates(spool, rows)
        _drop_near_duplicates(context, spool, rows)
        _drop_semantic_duplicates(context, spool, rows)
        _drop_contaminated(context, spool, rows)
        lengths.measure(context, spool, rows, counter)
        pools = _draw_mix(context, rows)
        placed = placement.place(
            rows, context.config.dataset.split_ratios, context.config.dataset.seed
        )
        mixed = _repeat(context, rows, pools)
        write_drops(rejects, rows, context.config.dataset.decontaminate)
        repeated = dedup.repeated(spool.index.column("id"), rows.fate >= KEPT)
        again = copies(rows.repeats, spool.pick(rows.repeats.rows), repeated)
        duplicates = clusters.largest(spool, rows)
        # What is written twice is read twice.
        lines = spool.lines() if len(rows.repeats.rows) else spool.drain()
        hashes = write_splits(lines, rows.fate, repeated, paths, again, beside=beside)
        lengths.finish(context, spool, rows, counter)
        summary = report.build(
            found,
            rows,
            hashes=hashes,
            leakage=placed.leakage,
            mix=mixed,
            schema=schema.violations(paths, context.config.dataset.seed),
            cuts=cuts,
            quality=quality,
            pii=private,
        )
        examples = lengths.examples(spool, rows, context.config.dataset.seed)
    records = map(ledger.record, paths, hashes)
    context.written.update(zip(paths, records, strict=True))
    html = page.render(summary, lengths.counted(rows), examples, duplicates)
    storage.write_text(context.workspace.dataset_page, html)
    artifacts.save(summary, context.workspace.dataset_report)
    _show(context, summary, paths)
    formats = {f"format of {source.file.name}": source.format for source in found}
    return {
        **formats,
        **sources.commits(context),
        "workers": workers,
        "reasoning": thoughts,
        "split": placed.decision,
    }


def judge(context: Context) -> list[Check]:
    """Is the data set whole, canonical, large enough and free of leaks?"""
    summary = artifacts.load(DatasetReport, context.workspace.dataset_report)
    return gate.judge_dataset(summary, context.config)


def _special_tokens(context: Context) -> SpecialTokens:
    """What the rows' texts must not hold, and what to do where they do."""
    action = context.config.dataset.special_tokens
    if action == "keep":
        return NO_TOKENS
    return SpecialTokens(special_tokens(base_model.resolve(context).folder), action)


def _try_template(context: Context) -> Decision:
    """Refuse a template that does harm; else decide where thoughts go in it."""
    template_probe.require(context)
    return reasoning.decide(
        context.config.dataset.reasoning,
        chat_template.text(context),
        base_model.resolve(context).folder,
        context.workspace.logs / "format.log",
    )


def _check_extras(context: Context) -> None:
    """Miss a library or a model before anything is read, not after."""
    settings = context.config.dataset
    if settings.pii != "off":
        pii.require()
        pii.require_region(settings.pii_region)
    if settings.semantic_dedup is not None:
        semantic.load(context.resolve(settings.semantic_dedup.model, field=semantic.FIELD))


def _find_private(context: Context, spool: Spool, rows: Rows) -> PiiReport | None:
    """First of all: what comes after sees masked texts only. A list of before is taken away."""
    if context.config.dataset.pii == "off":
        context.workspace.findings.unlink(missing_ok=True)
        return None
    with storage.atomic_write(context.workspace.findings) as findings:
        return privacy.apply(spool, rows, context.config.dataset, findings)


def _drop_low_quality(context: Context, spool: Spool, rows: Rows) -> QualityReport | None:
    """Before the duplicates: of two copies a source that asks for less may keep one."""
    if not grading.is_wanted(context.config.dataset):
        return None
    return grading.grade(spool, rows, context.config.dataset)


def _drop_duplicates(spool: Spool, rows: Rows) -> None:
    """Rows that are left out already are no originals, and do not become duplicates."""
    labels = rows.asked()
    labels[rows.fate != KEPT] = LEFT_OUT
    twins = dedup.exact(rows.index, labels, spool.pick)
    kept = rows.fate[twins.rows] == KEPT
    rows.twins = Values(twins.rows[kept], twins.values[kept])
    rows.drop(rows.twins.rows, DUPLICATE)


def _drop_near_duplicates(context: Context, spool: Spool, rows: Rows) -> None:
    """Find rows of almost the same words; drop them, or note them for the split to keep together.

    A row that is predefined for another split than its twin is not dropped: that is a leak.
    """
    settings = context.config.dataset
    if settings.near_duplicates == "off":
        return
    kept = np.flatnonzero(rows.fate == KEPT)
    numbered = zip(kept.tolist(), spool.pick(kept), strict=True)
    rows.near = near_duplicates(numbered, settings.near_duplicate_threshold)
    if settings.near_duplicates == "drop":
        asked = rows.asked()
        rows.drop(rows.near.rows[asked[rows.near.rows] == asked[rows.near.values]], NEAR_DUPLICATE)


def _drop_semantic_duplicates(context: Context, spool: Spool, rows: Rows) -> None:
    """Leave out rows that mean the same as one of the same predefined split."""
    settings = context.config.dataset.semantic_dedup
    if settings is None:
        return
    model = semantic.load(context.resolve(settings.model, field=semantic.FIELD))
    kept = np.flatnonzero(rows.fate == KEPT)
    numbered = zip(kept.tolist(), spool.pick(kept), strict=True)
    rows.semantic, cosines = semantic.duplicates(
        numbered, len(kept), model, settings.threshold, spool.folder
    )
    asked = rows.asked()
    same = asked[rows.semantic.rows] == asked[rows.semantic.values]
    for row, twin, cosine in zip(*rows.semantic, cosines, strict=True):
        place = "{}:{}".format(*rows.place(int(twin)))
        rows.remarks[int(row)] = f"means the same as {place} (cosine {cosine:.3f})"
    rows.drop(rows.semantic.rows[same], SAME_MEANING)


def _drop_contaminated(context: Context, spool: Spool, rows: Rows) -> None:
    """Find rows that repeat a benchmark; leave them out, or let the gate report them."""
    settings = context.config.dataset
    if not settings.decontaminate:
        return
    paths = [context.resolve(p, field="dataset.decontaminate") for p in settings.decontaminate]
    benchmarks = Benchmarks.read(paths, settings.max_line_bytes)
    kept = np.flatnonzero(rows.fate == KEPT)
    rows.contamination = benchmarks.repeated_by(zip(kept.tolist(), spool.pick(kept), strict=True))
    if settings.contamination == "drop":
        rows.drop(rows.contamination.rows, CONTAMINATED)


def _draw_mix(context: Context, rows: Rows) -> list[np.ndarray]:
    """Draw the shares of dataset.mix; return the rows that each entry had to draw from.

    What is predefined for validation or test stays out of it.
    """
    settings = context.config.dataset
    entry_of = np.array([rows.files[p.source].reading.entry for p in rows.profiles], dtype=np.int32)
    pool = (rows.fate == KEPT) & (rows.asked() <= 0)
    entries = np.where(pool, entry_of[rows.index.column("profile")], -1)
    members = [np.flatnonzero(entries == number) for number in range(len(settings.mix))]
    counts = mix.quotas(
        [len(found) for found in members],
        [entry.weight for entry in settings.mix],
        [entry.max_samples for entry in settings.mix],
        [entry.upsample for entry in settings.mix],
    )
    names = rows.index.column("content")
    for found, count in zip(members, counts, strict=True):
        rows.drop(found[~mix.draw(names[found], count, settings.seed)], NOT_DRAWN)
    return members


def _repeat(context: Context, rows: Rows, members: list[np.ndarray]) -> dict[str, MixReport]:
    """Repeat train rows where dataset.mix says upsample; report what was asked and got.

    Only rows that are in train already are repeated, so that no other split ever sees a copy.
    """
    settings = context.config.dataset
    drawn = [found[rows.fate[found] >= KEPT] for found in members]
    train = [found[rows.fate[found] == placement.TRAIN] for found in drawn]
    again = mix.repeats(settings.mix, [len(found) for found in train])
    if any(again):
        names = rows.index.column("content")
        rows.repeats = mix.joined(
            mix.repeated(found, names[found], count, settings.seed)
            for found, count in zip(train, again, strict=True)
        )
    available, counts, in_train = ([*map(len, group)] for group in (members, drawn, train))
    return mix.report(settings.mix, available, counts, in_train, again)


def _show(context: Context, summary: DatasetReport, paths: list[Path]) -> None:
    """What became of the rows, for the person at the terminal."""
    context.console.table(
        ("source", "format", "read", "kept", "rejected", "duplicates", "filtered"),
        [
            (name, s.format, s.read, s.kept, s.rejected, s.duplicates, s.filtered)
            for name, s in summary.sources.items()
        ],
    )
    context.console.table(
        ("split", "rows", "turns", "tool calls", "tokens p50", "p95", "max", "file"),
        [
            (name, s.rows, s.turns, s.tool_calls, *_lengths(s), context.workspace.relative(path))
            for path, (name, s) in zip(paths, summary.splits.items(), strict=True)
        ],
    )
    if summary.mix:
        context.console.table(
            ("mix", "asked", "got", "rows", "repeats"),
            [(name, m.asked, m.got, m.rows, m.repeats) for name, m in summary.mix.items()],
        )
    context.console.line(f"  more: {context.workspace.relative(context.workspace.dataset_page)}")
    if summary.pii is not None and summary.pii.rows:
        place = context.workspace.relative(context.workspace.findings)
        kinds = ", ".join(f"{count} {kind}" for kind, count in summary.pii.found.items())
        done = {"report": "found", "mask": "masked", "drop": "found and left out"}
        context.console.warn(
            f"personal data or secrets {done[summary.pii.action]} in {summary.pii.rows} rows "
            f"({kinds}): {place} says where"
        )
    if summary.cuts is not None and summary.cuts.rows:
        context.console.warn(_cut_line(summary.cuts))
    for reason, count in summary.filter_reasons.items():
        context.console.warn(f"{count} rows left out: {reason}")
    if summary.rejected:
        place = context.workspace.relative(context.workspace.rejects)
        context.console.warn(f"{summary.rejected} rows rejected, each explained in {place}")


def _lengths(split: artifacts.SplitReport) -> tuple[int | None, int | None, int | None]:
    found = split.tokens
    return (found.p50, found.p95, found.max) if found else (None, None, None)


def _cut_line(cuts: CutReport) -> str:
    how = (
        f"{cuts.turns_removed} turns at their ends left out"
        if cuts.how == "truncate"
        else f"now {cuts.pieces} rows"
    )
    return f"{cuts.rows} rows were too long: {how}"
