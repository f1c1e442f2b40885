"""Carried away and brought home: the bundle, its results, and everything that is refused."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from factory import hardware, storage
from factory.context import Context
from factory.errors import DataError, StaleInput
from factory.training import bundle, notebook, script
from tests.training.conftest import TEMPLATES, make_context


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return make_context(tmp_path / "home")


@pytest.fixture
def result(context: Context, trained: Path, tmp_path: Path) -> Path:
    """A bundle that was unpacked elsewhere and trained there (by copying what was trained)."""
    box = unpack(make(context, tmp_path), tmp_path / "box")
    for part in ("models/checkpoints/lora", "models/checkpoints/merged", "models/quantized"):
        shutil.copytree(trained / part, box / part)
    for part in (".factory", "metrics"):
        shutil.copytree(trained / part, box / part)
    target = tmp_path / "result.tar.gz"
    subprocess.run([sys.executable, "scripts/pack.py", str(target)], cwd=box, check=True)
    return target


def make(context: Context, folder: Path) -> Path:
    target = folder / "bundle.tar.gz"
    machine = bundle.as_gpu_machine(hardware.detect())
    bundle.make(context, script.resolve(context, machine).settings, target)
    return target


def unpack(archive: Path, folder: Path) -> Path:
    with tarfile.open(archive) as content:
        content.extractall(folder, filter="data")
    return folder


def rewrite(archive: Path, name: str, data: bytes, *, fix_sums: bool = False) -> None:
    """Replace or add one file of an archive."""
    with tarfile.open(archive) as content:
        files = {m.name: content.extractfile(m).read() for m in content}  # type: ignore[union-attr]
    files[name] = data
    if fix_sums:
        names = sorted(set(files) - {bundle.SUMS})
        lines = [f"{hashlib.sha256(files[file]).hexdigest()}  {file}\n" for file in names]
        files[bundle.SUMS] = "".join(lines).encode()
    with tarfile.open(archive, "w:gz") as content:
        for file, text in files.items():
            entry = tarfile.TarInfo(file)
            entry.size = len(text)
            content.addfile(entry, io.BytesIO(text))


@pytest.mark.parametrize("suffix", bundle.PICKLES)
def test_a_pickle_from_outside_is_refused(context: Context, result: Path, suffix: str) -> None:
    rewrite(result, f"models/checkpoints/lora/adapter_model{suffix}", b"code", fix_sums=True)
    with pytest.raises(DataError, match="may hold code"):
        bundle.collect(context, result)
    assert not context.path("save.lora_path").exists()


def test_a_bundle_holds_all_it_needs_and_checks_out(context: Context, tmp_path: Path) -> None:
    box = unpack(make(context, tmp_path), tmp_path / "box")
    lines = (box / bundle.SUMS).read_text().splitlines()
    for line in lines:
        digest, _, name = line.partition("  ")
        assert storage.sha256_file(box / name) == digest
    settings = json.loads((box / "scripts/train.json").read_text())
    for path in (
        settings["model"]["name"],
        *(settings["data"][x] for x in ("train", "validation")),
    ):
        assert (box / path).exists()
    assert settings["trainer"]["optim"] == "adamw_8bit"
    text = b"".join(path.read_bytes() for path in box.rglob("*.json"))
    assert str(context.workspace.root).encode() not in text
    assert "unsloth==" in (box / "requirements.txt").read_text()


def test_results_come_home(context: Context, result: Path, trained: Path) -> None:
    assert not bundle.collected(context)
    bundle.collect(context, result)
    home = context.workspace.root
    for name in (
        "models/checkpoints/lora/adapter_model.safetensors",
        "metrics/training-stats.json",
    ):
        assert (home / name).read_bytes() == (trained / name).read_bytes()
    assert bundle.collected(context)
    (home / "models/checkpoints/lora/adapter_config.json").write_text("{}")
    assert not bundle.collected(context)


def test_a_damaged_result_is_refused_and_nothing_is_touched(context: Context, result: Path) -> None:
    rewrite(result, "metrics/training-stats.json", b"{}")
    with pytest.raises(DataError, match=r"'metrics/training-stats\.json' is damaged"):
        bundle.collect(context, result)
    assert not (context.workspace.root / "metrics").exists()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "factory/evil.py", "scripts/train.py"])
def test_a_file_that_does_not_belong_is_refused(context: Context, result: Path, name: str) -> None:
    rewrite(result, name, b"evil", fix_sums=True)
    with pytest.raises(DataError):
        bundle.collect(context, result)
    assert not (context.workspace.root / "models/checkpoints").exists()


def test_a_truncated_archive_is_refused(context: Context, result: Path) -> None:
    result.write_bytes(result.read_bytes()[:1000])
    with pytest.raises(DataError):
        bundle.collect(context, result)


def test_other_settings_are_refused(context: Context, result: Path) -> None:
    context.config.training.learning_rate = 0.5
    with pytest.raises(StaleInput, match="other settings"):
        bundle.collect(context, result)


def test_other_data_are_refused(context: Context, result: Path) -> None:
    with context.path("dataset.path").open("a") as file:
        file.write("{}\n")
    with pytest.raises(StaleInput, match=r"another data/splits/train\.jsonl"):
        bundle.collect(context, result)


def test_the_notebook_writes_the_very_files(context: Context) -> None:
    settings = script.resolve(context, hardware.detect()).settings
    cells = notebook.build(settings)["cells"]
    written = {
        cell["source"].splitlines()[0].removeprefix("%%writefile "): cell["source"].partition("\n")[
            2
        ]
        for cell in cells
        if cell["source"].startswith("%%writefile")
    }
    for name in script.FILES:
        assert written[f"scripts/{name}"] == (TEMPLATES / name).read_text()
    assert json.loads(written["scripts/train.json"]) == settings
