"""`python -m factory.kit install|path|check`: the llama.cpp kit from a shell."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence

from factory.errors import FactoryError
from factory.kit import check, install, require


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one action and return the process exit code."""
    parser = argparse.ArgumentParser(prog="python -m factory.kit", description=__doc__)
    parser.add_argument(
        "action",
        choices=("install", "path", "check"),
        help="build it once and install its wheels; print its folder; verify every file of it",
    )
    action = parser.parse_args(arguments).action
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as at Ctrl-C
    try:
        return {"install": _install, "path": _path, "check": _check}[action]()
    except FactoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; nothing half-made was left", file=sys.stderr)
        return 130


def _install() -> int:
    kit = install(report=lambda line: print(line, file=sys.stderr, flush=True))
    print(kit.path)
    return 0


def _path() -> int:
    print(require().path)
    return 0


def _check() -> int:
    kit = require()
    problems = check(kit)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(f"ok: llama-cpp-python {kit.version}, llama.cpp {kit.commit[:12]}, {kit.path}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
