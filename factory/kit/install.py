"""Put a kit's wheels into this environment, and prove that everything in it works."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

from factory import storage
from factory.kit import cache, trial
from factory.kit.build import Report, build
from factory.kit.cache import Kit
from factory.kit.source import KitError

# Unsloth gives `llama-quantize --help` five seconds before it gives the kit up.
QUANTIZER_ANSWERS_WITHIN_SECONDS = 5


def install(report: Report = print) -> Kit:
    """Build the kit if this machine has none, and install its wheels into this environment.

    Does nothing when both are there already. Raises KitError naming the step that failed.
    """
    kit = cache.find() or build(report)
    missing = [wheel for wheel in kit.wheels if not _is_installed(wheel)]
    if missing:
        report(f"  installing {', '.join(wheel.name.split('-')[0] for wheel in missing)}")
        _pip_install(missing)
    return kit


def check(kit: Kit) -> list[str]:
    """Return what is wrong with the kit or with this environment's use of it; empty if nothing."""
    return [
        *_changed_files(kit),
        *_not_installed(kit),
        *_quantizer_problems(kit),
        *trial.problems(),
    ]


def _is_installed(wheel: Path) -> bool:
    """Whether exactly this file is what the environment has (pip records a wheel's hash)."""
    name = wheel.name.split("-")[0]
    try:
        record = importlib.metadata.distribution(name).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return False
    if record is None:
        return False
    archive = json.loads(record).get("archive_info", {})
    return archive.get("hashes", {}).get("sha256") == storage.sha256_file(wheel)


def _pip_install(wheels: list[Path]) -> None:
    # --force-reinstall: the same version compiled for another CPU has to be replaced; it would
    # reinstall every dependency too, so those are left to the first, plain call.
    base = [sys.executable, "-m", "pip", "install", "--quiet"]
    paths = [str(wheel) for wheel in wheels]
    for command in ([*base, *paths], [*base, "--force-reinstall", "--no-deps", *paths]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise KitError(
                f"pip could not install {', '.join(paths)}:\n{done.stdout.strip()}",
                where=sys.prefix,
                hint="install into a virtual environment with pip (python -m ensurepip)",
            )


def _changed_files(kit: Kit) -> list[str]:
    manifest = storage.read_json(kit.path / cache.MANIFEST)
    problems = []
    for name, expected in manifest["files"].items():
        path = kit.path / name
        if not path.is_file():
            problems.append(f"{path}: missing")
        elif storage.sha256_file(path) != expected:
            problems.append(f"{path}: changed since it was built")
    return problems


def _not_installed(kit: Kit) -> list[str]:
    return [
        f"{wheel.name}: not installed in {sys.prefix}"
        for wheel in kit.wheels
        if not _is_installed(wheel)
    ]


def _quantizer_problems(kit: Kit) -> list[str]:
    try:
        done = subprocess.run(
            [kit.quantizer, "--help"],
            env={**os.environ, **kit.environment()},
            capture_output=True,
            text=True,
            timeout=QUANTIZER_ANSWERS_WITHIN_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"{kit.quantizer}: {error}"]
    if done.returncode != 0 or "usage" not in done.stdout.lower():
        return [f"{kit.quantizer} --help: code {done.returncode}: {done.stderr.strip()}"]
    return []
