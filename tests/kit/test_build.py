"""A kit appears complete or not at all, and is compiled once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from factory import storage
from factory.kit import Kit, KitError, build, cache, find
from factory.kit.install import check


def test_edit_replaces_one_place_and_refuses_none_or_two(tmp_path: Path) -> None:
    path = tmp_path / "CMakeLists.txt"
    path.write_text("set(A ON)\nset(B ON)\n")
    build.edit(path, "set(A ON)", "set(A OFF)")
    assert path.read_text() == "set(A OFF)\nset(B ON)\n"
    for old, count in (("set(C ON)", 0), ("set(", 2)):
        with pytest.raises(KitError, match=f"expected exactly one .*, found {count}"):
            build.edit(path, old, "")
    assert path.read_text() == "set(A OFF)\nset(B ON)\n"


def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_a_kit(_sdist: Path, work: Path, _report: build.Report) -> Path:
        (work / "kit").mkdir()
        (work / "kit" / cache.MANIFEST).write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path))
    monkeypatch.setattr(build.source, "fetch", lambda folder: folder / "sdist")
    monkeypatch.setattr(build, "_assemble", half_a_kit)
    killed_before = cache.root() / f"{build.TEMPORARY_PREFIX}old"
    killed_before.mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        build.build(report=print)
    assert find() is None
    assert [path.name for path in cache.root().iterdir()] == [".lock"]


def test_a_second_builder_waits_and_takes_the_first_ones_kit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path))
    script = "from factory.kit import build; print(build.build(report=print).path)"
    with cache.building():
        waiting = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        time.sleep(0.5)
        assert waiting.poll() is None
        cache.kit_path().mkdir()
        (cache.kit_path() / cache.MANIFEST).write_text("{}")
    output, _ = waiting.communicate(timeout=20)
    assert output.decode().split() == [str(cache.kit_path())]


def test_a_stopped_build_takes_its_children_along(tmp_path: Path) -> None:
    def stop(line: str) -> None:
        raise KeyboardInterrupt(line)

    command = ["sh", "-c", "sleep 60 & echo $!; wait"]
    with pytest.raises(KeyboardInterrupt) as stopped:
        build._run_logged(command, dict(os.environ), tmp_path / "log", stop)
    child = int(str(stopped.value))
    time.sleep(0.2)
    status = Path(f"/proc/{child}/stat")
    assert not status.exists() or status.read_text().split()[2] == "Z"


def test_progress_is_the_compilers_own_count() -> None:
    said: list[str] = []
    read = build._step_reporter(said.append, every_seconds=0)
    for line in ("-- Configuring done", "[12/96] Building CXX object", "In file included from"):
        read(line)
    assert len(said) == 1
    assert said[0].startswith("  compiling 12/96, ")


def test_altered_wheels_are_not_reused(tmp_path: Path) -> None:
    wheels = tmp_path / "older" / "wheels"
    wheels.mkdir(parents=True)
    (wheels / "a.whl").write_bytes(b"as built")
    manifest = tmp_path / "older" / cache.MANIFEST
    files = {"wheels/a.whl": storage.sha256_file(wheels / "a.whl"), "LICENSE": "0"}
    storage.write_json(manifest, {"files": files, "build": {"cpu_seconds": 1.0}})
    target = tmp_path / "target"
    target.mkdir()
    assert build._reuse_wheels(manifest, target) == {"cpu_seconds": 1.0}
    assert (target / "a.whl").read_bytes() == b"as built"
    (wheels / "a.whl").write_bytes(b"altered")
    assert build._reuse_wheels(manifest, target) is None
    (wheels / "a.whl").unlink()
    assert build._reuse_wheels(manifest, target) is None


@pytest.mark.slow
def test_a_changed_part_makes_a_new_kit_without_compiling_again(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "llama.cpp" / f"{kit.version}-{cache.build_key()}-otherpar"
    shutil.copytree(kit.path / "wheels", older / "wheels")
    shutil.copy(kit.path / cache.MANIFEST, older)
    for sdist in kit.path.parent.glob("*.tar.gz"):
        os.link(sdist, older.parent / sdist.name)
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path))

    said: list[str] = []
    made = build.build(said.append)

    assert made.path.parent == older.parent
    assert "  reusing the libraries compiled before" in said
    assert not any("compiling" in line for line in said)
    assert check(made) == []
