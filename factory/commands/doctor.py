"""`factory doctor`: is this machine ready?"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from factory.commands import invocation

STYLES = {"PASS": "green", "WARN": "yellow", "FAIL": "bold red"}


def add_parser(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Declare the command."""
    summary = "is this machine, and this workspace, ready to train? each fault with its fix"
    parser = commands.add_parser(
        "doctor", help=summary, description=summary, parents=[shared], allow_abbrev=False
    )
    parser.add_argument("--verbose", action="store_true", help="every detail of every check")
    parser.set_defaults(function=_doctor)


def _doctor(options: argparse.Namespace) -> int:
    from factory import doctor
    from factory.workspace import Workspace

    found = doctor.examine(Workspace(invocation.root(options))).findings
    report = doctor.Report(
        [replace(one, fix=invocation.from_here(one.fix, options)) for one in found]
    )
    if invocation.wants_json(options):
        invocation.print_json(report.as_json())
        return 0 if report.ready else 1
    console = invocation.console(options)
    for finding in report.findings:
        status = finding.status
        console.line(f"[{status}] {finding.check}: {finding.found}", style=STYLES[status])
        if status != "PASS" and finding.fix:
            console.line(f"       -> {finding.fix}")
        for name, value in finding.details.items() if options.verbose else ():
            console.line(f"       {name}: {value}")
    verdict = "ready" if report.ready else "not ready"
    console.line(f"{report.passed}/{len(report.findings)} checks passed: {verdict}")
    return 0 if report.ready else 1
