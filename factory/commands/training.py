"""`factory script` and `factory mask`: the training script to carry away, and what it trains on."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from factory.commands import invocation

ROWS_IN_HTML = 50


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Declare both commands."""
    summary = "write scripts/train.py and its resolved settings; or carry the training elsewhere"
    script = commands.add_parser(
        "script", help=summary, description=summary, parents=[shared], allow_abbrev=False
    )
    invocation.add_layer_options(script)
    what = script.add_mutually_exclusive_group()
    what.add_argument("--notebook", metavar="FILE", help="write a notebook that trains")
    what.add_argument("--bundle", metavar="FILE", help="write all a GPU box needs (tar.gz)")
    what.add_argument("--collect", metavar="FILE", help="bring a result home, run finetune")
    script.add_argument(
        "--device",
        choices=("cuda", "here"),
        help="what to resolve the settings for (default: cuda for notebook and bundle)",
    )
    script.set_defaults(function=_script)
    summary = "show which tokens are trained; prove it for every row"
    mask = commands.add_parser(
        "mask", help=summary, description=summary, parents=[shared], allow_abbrev=False
    )
    invocation.add_layer_options(mask)
    mask.add_argument("--row", type=int, metavar="N", help="show this line of the split")
    mask.add_argument("--split", choices=("train", "val"), default="train")
    mask.add_argument("--html", metavar="FILE", help=f"a page of the row, or of {ROWS_IN_HTML}")
    mask.set_defaults(function=_mask)


def _script(options: argparse.Namespace) -> int:
    from factory import hardware, storage
    from factory.training import bundle, notebook, script

    context = invocation.context(options)
    if options.collect:
        return _collect(options)
    machine = hardware.detect()
    portable = options.notebook or options.bundle
    if options.device == "cuda" or (options.device is None and portable):
        machine = bundle.as_gpu_machine(machine, context.config.training.num_processes)
    plan = script.resolve(context, machine)
    if options.bundle:
        written = [options.bundle, *bundle.make(context, plan.settings, Path(options.bundle))]
    elif options.notebook:
        storage.write_json(Path(options.notebook), notebook.build(plan.settings))
        written = [options.notebook]
    else:
        script.write(context, plan.settings)
        written = [f"scripts/{name}" for name in (*script.FILES, "train.json")]
    decisions = {name: decision.model_dump() for name, decision in plan.decisions.items()}
    command = shlex.join(script.command(plan.settings))
    if invocation.wants_json(options):
        answer = {"written": written, "decisions": decisions, "command": command}
        invocation.print_json(answer)
        return 0
    console = invocation.console(options)
    for name, decision in plan.decisions.items():
        console.line(f"{name}: {decision.value} ({decision.reason})")
    console.line(f"wrote {', '.join(written)}")
    console.line(f"train with: {command}")
    return 0


def _collect(options: argparse.Namespace) -> int:
    from factory import runner
    from factory.training import bundle

    context = invocation.context(options)
    with context.workspace.lock():
        decision = bundle.collect(context, Path(options.collect))
    context.console.line(f"collected {decision.value}: {decision.reason}")
    outcomes = runner.run(context, ["finetune"], waivers=[])
    if invocation.wants_json(options):
        invocation.print_json([outcome.as_json() for outcome in outcomes])
    return 0


def _mask(options: argparse.Namespace) -> int:
    from factory import storage
    from factory.training import mask_view

    context = invocation.context(options)
    field = "dataset.path" if options.split == "train" else "dataset.validation_path"
    path = context.path(field)
    mask = mask_view.load_mask(context)
    if options.row is not None or options.html:
        shown = [
            (f"{path.name}:{number}  {row.get('id', '')}", mask_view.pieces(mask, row))
            for number, row in mask_view.rows(path, options.row)
            if options.row is not None or number <= ROWS_IN_HTML
        ]
    else:
        shown = []
    if options.html:
        storage.write_text(Path(options.html), mask_view.as_html(shown))
    counts = mask_view.summary(mask, path) if options.row is None else None
    if invocation.wants_json(options):
        rows = [{"row": title, "pieces": mask_view.as_json(row)} for title, row in shown]
        invocation.print_json({"summary": counts, "rows": [] if options.html else rows})
        return 0
    _show(options, counts, shown)
    return 0


def _show(options: argparse.Namespace, counts: dict[str, Any] | None, shown: list[Any]) -> None:
    from factory import trained_text

    console = invocation.console(options)
    if options.html:
        console.line(f"wrote {options.html}")
    elif shown:
        for title, row in shown:
            console.line(title, style="bold")
            trained_text.show(console, row)
    if counts:
        console.line(
            f"proven on {counts['rows']} rows: {counts['trained_tokens']} of {counts['tokens']} "
            f"tokens are trained, between {counts['openings']} and {counts['closers']}"
        )
