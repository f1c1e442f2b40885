"""What `python -m factory.kit` promises: installed once, and every file is as it was built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from factory import storage
from factory.kit import Kit, cache, check, install


def test_the_installed_kit_has_no_problem(kit: Kit) -> None:
    assert check(kit) == []


def test_installing_again_does_nothing(kit: Kit) -> None:
    said: list[str] = []
    assert install(said.append) == kit
    assert said == []


def test_a_changed_and_a_missing_file_are_named(tmp_path: Path) -> None:
    for name in ("convert.py", "gone.py"):
        (tmp_path / name).write_text("pass\n")
    files = {path.name: storage.sha256_file(path) for path in tmp_path.iterdir()}
    storage.write_json(tmp_path / cache.MANIFEST, {"files": files})
    (tmp_path / "convert.py").write_text("import os\n")
    (tmp_path / "gone.py").unlink()
    problems = check(Kit(tmp_path, "0", "0"))
    assert f"{tmp_path / 'convert.py'}: changed since it was built" in problems
    assert f"{tmp_path / 'gone.py'}: missing" in problems
    assert any(problem.startswith(str(tmp_path / "llama-quantize")) for problem in problems)


def test_a_wheel_of_another_build_does_not_count_as_installed(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "llama_cpp_python-0.3.36-py3-none-any.whl").write_bytes(b"for another CPU")
    storage.write_json(tmp_path / cache.MANIFEST, {"files": {}})
    assert any("not installed" in problem for problem in check(Kit(tmp_path, "0.3.36", "0")))


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["path"], 0, ""),
        (["check"], 0, "ok: llama-cpp-python"),
        (["nonsense"], 2, "invalid choice"),
    ],
)
def test_command_line(kit: Kit, arguments: list[str], code: int, says: str) -> None:
    done = run_command(*arguments)
    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert (str(kit.path) in done.stdout) == (code == 0)


def test_command_line_without_a_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path))
    done = run_command("path")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no llama.cpp for this machine" in done.stderr
    assert "Traceback" not in done.stderr


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "factory.kit", *arguments], capture_output=True, text=True
    )
