"""scripts/setup.sh: does each step once, remembers it, and says which step failed and what to do.

The script is the real one; the interpreter that it is given only records what it was asked for.
That the steps themselves work is shown by whatever ran this suite: `make test` begins with them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SETUP = ROOT / "scripts" / "setup.sh"
COMPILED = "factory/data/_plain.c"
INPUTS = (
    *("pyproject.toml", "constraints.txt", "constraints-dev.txt"),
    *("hatch_build.py", COMPILED, "factory/data/_lines.c", "factory/data/vendor/xxhash.h"),
)

RECORDING_PYTHON = """\
#!/bin/sh
printf "%s " $* >> "$CALLS"
echo >> "$CALLS"
case "$*" in
*version_info*) echo "3.12.1 $BASE" ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*"${FAIL_ON:-nothing fails}"*) echo "ERROR: no such thing"; exit 1 ;;
esac
"""


class Checkout:
    """A copy of what the script reads, with an interpreter that records its calls."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder / "calls"
        self.python = folder / "recording-python"
        (folder / "scripts").mkdir(parents=True)
        shutil.copy(SETUP, folder / "scripts")
        (folder / "factory" / "data" / "vendor").mkdir(parents=True)
        for name in INPUTS:
            shutil.copy(ROOT / name, folder / name)
        self.python.write_text(RECORDING_PYTHON)
        self.python.chmod(0o755)

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script as a fresh machine would, and forget earlier calls."""
        self.calls_file.write_text("")
        variables = {
            "PATH": "/usr/bin:/bin",
            "PYTHON": str(self.python),
            "BASE": str(self.python),
            "CALLS": str(self.calls_file),
            **environment,
        }
        return subprocess.run(
            [self.folder / "scripts" / "setup.sh"], env=variables, capture_output=True, text=True
        )

    def pip_calls(self) -> list[str]:
        """What pip was asked to install, in order."""
        lines = self.calls_file.read_text().splitlines()
        return [line.strip() for line in lines if line.startswith("-m pip install")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "a check out")


def test_syntax() -> None:
    for script in (SETUP, ROOT / ".ci" / "run"):
        subprocess.run(["bash", "-n", script], check=True)
        assert script.stat().st_mode & 0o111, f"{script} is not executable"


def test_first_call_does_every_step_in_order(checkout: Checkout) -> None:
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\[(\d)/6\]", done.stdout, re.MULTILINE) == list("123456")
    installed = " ; ".join(checkout.pip_calls())
    order = ["--upgrade pip", "torch==", "--editable .[train,dev]", "--no-deps unsloth=="]
    positions = [installed.index(part) for part in order]
    assert positions == sorted(positions)
    assert "-m factory.kit install" in checkout.calls_file.read_text()


def test_second_call_does_nothing_within_a_second(checkout: Checkout) -> None:
    checkout.setup()
    started = time.monotonic()
    done = checkout.setup()
    assert time.monotonic() - started < 1
    assert done.stdout == "set-up is up to date\n"
    assert checkout.pip_calls() == []


@pytest.mark.parametrize("name", ["constraints.txt", COMPILED])
def test_a_change_redoes_what_depends_on_it(name: str, checkout: Checkout) -> None:
    checkout.setup()
    with (checkout.folder / name).open("a") as file:
        file.write("# more\n")
    done = checkout.setup()
    assert re.findall(r"^\[(\d)/6\]", done.stdout, re.MULTILINE) == list("3456")


def test_a_kit_that_does_not_fit_this_machine_is_made_again(checkout: Checkout) -> None:
    checkout.setup()
    done = checkout.setup(FAIL_ON="factory.kit path")
    assert re.findall(r"^\[(\d)/6\]", done.stdout, re.MULTILINE) == ["5"]


@pytest.mark.parametrize(
    ("fail_on", "step"), [("torch==", "[2/6] torch"), ("--no-deps unsloth", "[4/6] Unsloth")]
)
def test_a_failure_names_the_step_the_log_and_what_to_do(
    fail_on: str, step: str, checkout: Checkout
) -> None:
    failed = checkout.setup(FAIL_ON=fail_on)
    assert failed.returncode == 1
    assert f"set-up failed: step {step}" in failed.stderr
    assert "ERROR: no such thing" in failed.stderr
    log = re.search(r"whole log: (\S+)\)", failed.stderr)
    assert log is not None
    assert "ERROR: no such thing" in (checkout.folder / log[1]).read_text()

    resumed = checkout.setup()
    assert resumed.returncode == 0
    assert f"[{step[1]}/6]" in resumed.stdout
    assert f"[{int(step[1]) - 1}/6]" not in resumed.stdout


def test_a_missing_interpreter_is_named(checkout: Checkout) -> None:
    done = checkout.setup(PYTHON="nonexistent-python")
    assert done.returncode == 1
    assert "looking for Python" in done.stderr
    assert "nonexistent-python" in done.stderr
    assert "3.10" in done.stderr


def test_an_environment_that_is_not_ours_is_left_alone(checkout: Checkout) -> None:
    theirs = checkout.folder / ".venv" / "pyvenv.cfg"
    theirs.parent.mkdir()
    theirs.write_text("home = elsewhere\n")
    done = checkout.setup()
    assert done.returncode == 1
    assert "mv .venv" in done.stderr
    assert theirs.read_text() == "home = elsewhere\n"


def direct_dependencies() -> set[str]:
    """Names of everything that pyproject.toml asks for, in all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    requirements = [*project["dependencies"], *(item for extra in extras for item in extra)]
    names = {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements}
    return {normalised(name) for name in names - {project["name"]}}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_direct_dependency_is_pinned_and_its_licence_listed() -> None:
    pins = (ROOT / "constraints.txt").read_text() + (ROOT / "constraints-dev.txt").read_text()
    pinned = {normalised(name) for name in re.findall(r"^([\w.-]+)==", pins, re.MULTILINE)}
    table = (ROOT / "THIRD_PARTY.md").read_text()
    listed = {normalised(name) for name in re.findall(r"[\w.-]+", table)}
    assert direct_dependencies() - pinned == set()
    assert direct_dependencies() - listed == set()


def test_the_script_and_the_constraints_agree() -> None:
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    for requirement in re.findall(r"\b(?:torch|unsloth|unsloth_zoo)==[\d.]+", SETUP.read_text()):
        assert requirement in pins


def test_no_registry_address_is_written_down() -> None:
    for name in ("pyproject.toml", "constraints.txt", "constraints-dev.txt", "scripts/setup.sh"):
        assert "://" not in (ROOT / name).read_text(), name
