"""The command line: `python -m factory COMMAND`, exit codes, errors as one message.

Nothing heavy is imported here; each command imports what it needs when it is called.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from factory import __version__
from factory.commands import config, data, doctor, invocation, models, presets, release, training
from factory.commands.invocation import print_json, wants_json
from factory.errors import ConfigError, DiskFull, FactoryError, did_you_mean, means_disk_full

if TYPE_CHECKING:
    from factory.context import Context
    from factory.runner import Outcome, Verdict

STAGE_NAMES = ("format", "baseline", "finetune", "evaluate", "export", "all")
# OpenBLAS, numpy's library for algebra, starts a thread for every core when it is loaded. They wait
# busily for 2^N cycles before they sleep; N is 26 if nothing is said, and 4 at least.
OPENBLAS_PATIENCE = ("OPENBLAS_THREAD_TIMEOUT", "4")
# What is left at the end goes with the process: the collector need not look for cycles in it.
atexit.register(gc.freeze)
EPILOG = """\
exit codes: 0 ok, 1 failure, 2 usage or configuration, 3 gate closed,
            4 inputs stale or tampered, 5 locked by another run, 130 interrupted
"""


class UsageError(ConfigError):
    """A command line that argparse does not accept."""


class Parser(argparse.ArgumentParser):
    """argparse with did-you-mean, and errors raised instead of printed."""

    def error(self, message: str) -> NoReturn:
        """Turn argparse's complaint into a UsageError with the nearest right word."""
        raise UsageError(message + self._suggestion(message), hint=f"help: {self.prog} --help")

    def _suggestion(self, message: str) -> str:
        if "invalid choice: '" in message:
            word = message.split("invalid choice: '")[1].split("'")[0]
            for action in self._actions:
                if action.choices and word not in action.choices:
                    return did_you_mean(word, map(str, action.choices))
        if message.startswith("unrecognized arguments: "):
            word = message.removeprefix("unrecognized arguments: ").split()[0]
            return did_you_mean(word, self._options())
        return ""

    def _options(self) -> set[str]:
        """Every option of this parser and of the commands below it."""
        found: set[str] = set()
        for action in self._actions:
            found.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    found |= command._options()
        return found


def build_parser() -> Parser:
    """The whole command line."""
    shared = Parser(add_help=False)
    shared.add_argument(
        "-C",
        dest="workspace",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="work in this workspace instead of the current folder",
    )
    shared.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON document on standard output, everything else on standard error",
    )
    parser = Parser(
        prog="factory",
        description="Raw examples in, a specialised model out, with proof that it beats its base.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"factory {__version__}")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )

    def add(name: str, summary: str, function: Callable[[argparse.Namespace], int]) -> Parser:
        command: Parser = commands.add_parser(
            name, help=summary, description=summary, parents=[shared], allow_abbrev=False
        )
        command.set_defaults(function=function)
        return command

    _add_run(add("run", "run a stage, or all of them", _run))
    add("status", "where the workflow and the training stand", _status)
    check = add("check", "hash every artifact again and read every gate (for CI)", _check)
    check.add_argument("stage", nargs="?", choices=STAGE_NAMES, default="all")
    add("next", "the one next action, its exact command and why", _next)
    _add_init(add("init", "make a workspace", _init))
    config.add_parser(commands, shared)
    data.add_parser(commands, shared)
    presets.add_parser(commands, shared)
    doctor.add_parser(commands, shared)
    release.add_parser(commands, shared)
    models.add_parser(commands, shared)
    training.add_parser(commands, shared)
    schema = add("schema", "print a JSON Schema", _schema)
    schema.add_argument(
        "name", nargs="?", default="training-config", help="which (default: training-config)"
    )
    return parser


def _add_run(run: Parser) -> None:
    run.add_argument("stage", choices=STAGE_NAMES, help="which stage")
    run.add_argument("--force", action="store_true", help="run even if nothing changed")
    run.add_argument("--dry-run", action="store_true", help="say what would run; write nothing")
    invocation.add_layer_options(run)
    run.add_argument(
        "--waive",
        metavar="GATE",
        action="append",
        default=[],
        help="pass this closed gate check; needs --reason; kept for ever",
    )
    run.add_argument("--reason", metavar="TEXT", help="why the waived check may be passed")


def _add_init(init: Parser) -> None:
    init.add_argument("folder", metavar="DIR", help="the folder to make (or an empty one)")
    init.add_argument("--demo", action="store_true", help="with the demo's data and settings")
    init.add_argument(
        "--data",
        metavar="FILE",
        action="append",
        default=[],
        help="copy this file of raw examples into data/raw (repeatable)",
    )
    init.add_argument("--name", help="project.name (default: the preset's, or the folder's name)")
    init.add_argument("--preset", help="lay the configuration on this preset (factory presets)")
    init.add_argument(
        "--sample", action="store_true", help="with generated rows in the shape the preset takes"
    )
    init.add_argument("--model", help="model.name (default: models/base, the built-in tiny one)")


def main(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault(*OPENBLAS_PATIENCE)
    options = argparse.Namespace()
    try:
        build_parser().parse_args(words, namespace=options)
        return int(options.function(options))
    except FactoryError as error:
        error.hint = invocation.from_here(error.hint or "", options) or None
        return _fail(error, as_json="--json" in words)
    except BrokenPipeError:
        # The reader (`| head`) has gone; there is nobody left to tell.
        sys.stderr.close()
        return 1
    except OSError as error:
        if not means_disk_full(error):
            raise
        return _fail(DiskFull(error.filename or Path.cwd()), as_json="--json" in words)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _fail(error: FactoryError, *, as_json: bool) -> int:
    if as_json:
        print_json(error.as_json())
    print(f"error: {error}", file=sys.stderr)
    return error.exit_code


def _stages(name: str) -> list[str]:
    return list(STAGE_NAMES[:-1]) if name == "all" else [name]


def _run(options: argparse.Namespace) -> int:
    from factory import runner, waiving

    if options.waive and not (options.reason or "").strip():
        raise UsageError("--waive needs --reason TEXT", hint="say who answers for it and why")
    if options.reason and not options.waive:
        raise UsageError("--reason needs --waive GATE")
    if members := _members(options):
        return _run_sequence(options, members)
    waivers = [waiving.Waive(name, options.reason) for name in options.waive]
    context = invocation.context(options)
    outcomes = runner.run(context, _stages(options.stage), waivers=waivers, dry_run=options.dry_run)
    if wants_json(options):
        print_json({"stages": [outcome.as_json() for outcome in outcomes]})
    else:
        _show_outcomes(context, outcomes)
    return 0


def _members(options: argparse.Namespace) -> list[str]:
    """The presets to run in turn, if `--preset` or the configuration names a sequence."""
    from factory import sequence
    from factory.workspace import Workspace

    return sequence.members_of(Workspace(invocation.root(options)), options.preset)


def _run_sequence(options: argparse.Namespace, members: list[str]) -> int:
    from factory import sequence
    from factory.workspace import Workspace

    sequence.refuse_waivers(options.waive)
    console = invocation.console(options)
    done = sequence.run(
        Workspace(invocation.root(options)),
        members,
        _stages(options.stage),
        console,
        overrides=options.overrides,
        force=options.force,
        dry_run=options.dry_run,
    )
    if wants_json(options):
        print_json({"members": [member.as_json() for member in done]})
    else:
        columns = ["expert", "result", "metric", "baseline", "fine-tuned", "problem"]
        console.table(columns, [member.row() for member in done])
    sequence.require_all_open(done)
    return 0


def _show_outcomes(context: Context, outcomes: list[Outcome]) -> None:
    if len(outcomes) == 1 and not outcomes[0].action.startswith("would"):
        return  # it has spoken for itself
    context.console.table(
        ["stage", "action", "gate", "seconds", "why"],
        [
            [
                outcome.stage,
                outcome.action,
                outcome.status,
                round(outcome.seconds, 1),
                outcome.reason,
            ]
            for outcome in outcomes
        ],
    )


def _check(options: argparse.Namespace) -> int:
    from factory import runner

    context = invocation.context(options)
    verdicts = runner.check(context, _stages(options.stage))
    if wants_json(options):
        print_json({"stages": [verdict.as_json() for verdict in verdicts]})
    else:
        _show_verdicts(context, verdicts)
    return _check_code(verdicts)


def _show_verdicts(context: Context, verdicts: list[Verdict]) -> None:
    context.console.table(
        ["stage", "result", "problem"],
        [[verdict.stage, verdict.kind, verdict.problem or ""] for verdict in verdicts],
    )
    if not any(verdict.checks for verdict in verdicts):
        return
    context.console.table(
        ["check", "value", "threshold", "result"],
        [
            [check.id, check.value, check.threshold, "closed" if check.closed else "open"]
            for verdict in verdicts
            for check in verdict.checks
        ],
    )


def _check_code(verdicts: list[Verdict]) -> int:
    """4 outweighs 3: a tampered file says more than a closed gate."""
    kinds = {verdict.kind for verdict in verdicts}
    if "stale" in kinds:
        return 4
    return 3 if kinds & {"closed", "missing"} else 0


def _status(options: argparse.Namespace) -> int:
    from factory import overview
    from factory.console import Console
    from factory.workspace import Workspace

    summary = overview.summarise(Workspace(invocation.root(options)))
    if wants_json(options):
        print_json(summary)
    else:
        overview.show(summary, Console())
    return 0


def _next(options: argparse.Namespace) -> int:
    from factory import advice

    action = advice.next_action(invocation.context(options))
    if wants_json(options):
        print_json(action)
    else:
        print(f"{action['command'] or 'nothing to do'}\n  because {action['why']}")
        if "mend" in action:
            print(f"  but first {action['mend']}")
    return 0


def _init(options: argparse.Namespace) -> int:
    from factory import init

    made = init.make(
        Path(options.folder),
        demo=options.demo,
        data=[Path(path) for path in options.data],
        name=options.name,
        model=options.model,
        preset=options.preset,
        sample=options.sample,
    )
    if wants_json(options):
        print_json(made)
    else:
        print(f"workspace: {made['workspace']}")
        for command in made["next"]:
            print(f"  {command}")
    return 0


def _schema(options: argparse.Namespace) -> int:
    from factory import schemas

    print_json(schemas.schema(options.name))
    return 0
