"""The release folder on a real disk: what ships, what is kept, what a crash leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from factory.errors import DataError, FactoryError
from factory.export import release
from factory.naming import ReleaseNames


@pytest.fixture
def trained(tmp_path: Path) -> dict[str, Path]:
    """What training leaves behind, with the files that must never ship."""
    lora, merged, gguf = tmp_path / "lora", tmp_path / "merged", tmp_path / "x.gguf"
    files = {
        lora / "adapter_model.safetensors": b"weights",
        lora / "adapter_config.json": b"{}",
        lora / "README.md": b"PEFT's own card",
        lora / "training_args.bin": b"a pickle with hub_token",
        lora / "optimizer.pt": b"a pickle",
        merged / "config.json": b"{}",
        merged / "model.safetensors": b"more weights",
        merged / "tokenizer.model": b"sentencepiece",
        merged / "chat_template.jinja": b"{{ messages }}",
        merged / ".hidden.json": b"{}",
        gguf: b"GGUF",
    }
    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return {"lora": lora, "merged": merged, "gguf": gguf}


def planned(trained: dict[str, Path]) -> release.Plan:
    names = ReleaseNames("demo-v1.0.0", "adapter", "merged", {"q8_0": "gguf/demo.gguf"})
    return release.plan(trained["lora"], trained["merged"], {"q8_0": trained["gguf"]}, names)


def exported(trained: dict[str, Path], folder: Path) -> str:
    plan = planned(trained)
    with release.building(folder) as work:
        release.write_checksums(work, release.copy(plan, work))
        return release.swap_in(work, folder)


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_weights_and_texts_ship_and_pickles_do_not(trained: dict[str, Path]) -> None:
    plan = planned(trained)
    assert set(plan.copies) == {
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "merged/config.json",
        "merged/model.safetensors",
        "merged/tokenizer.model",
        "merged/chat_template.jinja",
        "gguf/demo.gguf",
    }
    assert plan.left_out == [
        "adapter/README.md",
        "adapter/optimizer.pt",
        "adapter/training_args.bin",
    ]
    assert plan.size == sum(path.stat().st_size for path in plan.copies.values())


@pytest.mark.parametrize(
    "missing", ["lora/adapter_model.safetensors", "merged/config.json", "x.gguf"]
)
def test_a_missing_input_names_the_command_that_makes_it(
    trained: dict[str, Path], tmp_path: Path, missing: str
) -> None:
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match="run finetune") as caught:
        planned(trained)
    assert str(caught.value.where).endswith(missing)


def test_a_symlink_among_the_inputs_is_refused(trained: dict[str, Path], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("not yours")
    (trained["lora"] / "extra.json").symlink_to(secret)
    with pytest.raises(DataError, match="symbolic links are refused"):
        exported(trained, tmp_path / "release")
    assert not (tmp_path / "release").exists()


def test_copies_are_files_of_their_own(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "release"
    exported(trained, folder)
    copy = folder / "adapter" / "adapter_model.safetensors"
    copy.write_bytes(b"edited")
    assert (trained["lora"] / "adapter_model.safetensors").read_bytes() == b"weights"


def test_checksums_are_those_of_sha256sum(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "a release with spaces"
    exported(trained, folder)
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count(": OK") == 7
    listed = {line.split("  ", 1)[1] for line in (folder / "SHA256SUMS").read_text().splitlines()}
    assert listed == tree(folder) - {"SHA256SUMS"}


def test_a_copy_that_reads_back_differently_is_found(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    with release.building(tmp_path / "release") as work:
        copied = release.copy(planned(trained), work)
        (work / "gguf" / "demo.gguf").write_bytes(b"GGUG")
        with pytest.raises(FactoryError, match="reads back differently"):
            release.write_checksums(work, copied)


def test_exporting_again_changes_nothing(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "release"
    assert exported(trained, folder) == "a new release"
    before = (folder / "SHA256SUMS").read_text()
    assert exported(trained, folder) == "the same content as before"
    assert (folder / "SHA256SUMS").read_text() == before


def test_an_earlier_export_of_the_version_is_replaced_and_said_so(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "release"
    exported(trained, folder)
    trained["gguf"].write_bytes(b"GGUF v2")
    assert exported(trained, folder) == "replaces an earlier export of this version"
    assert (folder / "gguf" / "demo.gguf").read_bytes() == b"GGUF v2"
    assert sorted(path.name for path in tmp_path.iterdir() if "release" in path.name) == ["release"]


@pytest.mark.parametrize("edit", ["changed", "added", "removed"])
def test_an_edited_release_is_kept(trained: dict[str, Path], tmp_path: Path, edit: str) -> None:
    folder = tmp_path / "release"
    exported(trained, folder)
    if edit == "changed":
        (folder / "merged" / "config.json").write_text("my work")
    elif edit == "added":
        (folder / "notes.md").write_text("my work")
    else:
        (folder / "SHA256SUMS").unlink()
    kept = tree(folder)
    for number in (1, 2):
        outcome = exported(trained, folder)
        if number == 1:
            assert "release.kept-1" in outcome
    assert tree(tmp_path / "release.kept-1") == kept
    assert release.is_intact(folder)


def test_two_edited_releases_are_both_kept(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "release"
    for _ in range(3):
        exported(trained, folder)
        (folder / "notes.md").write_text("my work")
    assert {path.name for path in tmp_path.glob("release.kept-*")} == {
        "release.kept-1",
        "release.kept-2",
    }


def test_a_failed_export_leaves_the_old_release_alone(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "release"
    exported(trained, folder)
    before = (folder / "SHA256SUMS").read_text()
    with pytest.raises(RuntimeError, match="stop"), release.building(folder) as work:
        (work / "half").write_text("written")
        raise RuntimeError("stop")
    assert (folder / "SHA256SUMS").read_text() == before
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def test_what_a_killed_export_left_is_swept_away(trained: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "release"
    leftover = tmp_path / ".release.building" / "gguf"
    leftover.mkdir(parents=True)
    (leftover / "old.gguf").write_bytes(b"half a file")
    exported(trained, folder)
    assert "gguf/old.gguf" not in tree(folder)


def test_a_release_that_a_killed_export_had_moved_away_comes_back(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    folder, retired = tmp_path / "release", tmp_path / ".release.replaced"
    exported(trained, folder)
    folder.rename(retired)
    with pytest.raises(RuntimeError, match="stop"), release.building(folder):
        raise RuntimeError("stop")
    assert release.is_intact(folder) and not retired.exists()


def test_a_release_that_a_killed_export_had_replaced_goes_at_last(
    trained: dict[str, Path], tmp_path: Path
) -> None:
    folder, retired = tmp_path / "release", tmp_path / ".release.replaced"
    exported(trained, folder)
    shutil.copytree(folder, retired)
    trained["gguf"].write_bytes(b"GGUF v2")
    exported(trained, folder)
    assert (folder / "gguf" / "demo.gguf").read_bytes() == b"GGUF v2" and not retired.exists()


def test_a_full_disk_is_found_before_anything_is_copied(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    release.require_space(1, tmp_path / "not" / "yet" / "there")
    with pytest.raises(FactoryError, match=r"copies .* GB, and only .* GB are free"):
        release.require_space(free + 10**12, tmp_path / "models")
