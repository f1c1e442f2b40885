"""Train elsewhere: a bundle for a GPU box, and its results brought home, verified by hash.

The bundle is a small workspace: script, resolved settings, splits, base model if it is local,
requirements, checksums. It holds no secret and no path of this machine.
"""

from __future__ import annotations

import hashlib
import io
import shlex
import shutil
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from factory import base_model, pipeline, storage
from factory import config as configuration
from factory.artifacts import Decision
from factory.context import Context
from factory.errors import DataError, StaleInput
from factory.hardware import GIB, Accelerator, Machine
from factory.training import script

SUMS = "SHA256SUMS"
PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")  # loading one may run code
RECORD = "scripts/bundle.json"
REQUIREMENTS = "requirements.txt"
README = """Train:   pip install -r requirements.txt && {command}
Pack:    python scripts/pack.py result.tar.gz
At home: python -m factory script --collect result.tar.gz
"""


def as_gpu_machine(machine: Machine, gpus: int = 1) -> Machine:
    """This machine as if it had the GPUs that bundles are made for: bfloat16, unknown size."""
    gpu = Accelerator("cuda", "a GPU with bfloat16", 24 * GIB, 24 * GIB, bf16=True)
    return replace(machine, accelerators=(gpu,) * gpus)


def record(context: Context) -> dict[str, Any]:
    """What a result has to have been made from, to be accepted here."""
    stage = pipeline.find("finetune")
    inputs = {name: storage.sha256_file(path) for name, path in stage.reads(context).items()}
    settings = configuration.settings(context.config, *stage.settings)
    return {"settings_sha256": storage.sha256_json(settings), "inputs": inputs}


def requirements(settings: dict[str, Any]) -> str:
    """The pins of the script's own header and the trackers of a run, one a line."""
    lines = (script.TEMPLATES / "train.py").read_text(encoding="utf-8").splitlines()
    header = lines[lines.index("# /// script") : lines.index("# ///")]
    pins = [part for line in header for part in line.split('"') if "==" in part]
    asked = settings["trainer"]["report_to"]
    return "\n".join([*pins, *(asked if isinstance(asked, list) else [])]) + "\n"


def make(context: Context, settings: dict[str, Any], target: Path) -> list[str]:
    """Write the bundle `target` (tar.gz); returns the names in it."""
    base = base_model.resolve(context)
    files = {name: path for name, path in base.files().items() if base.revision is None}
    for field in ("dataset.path", "dataset.validation_path"):
        path = context.path(field)
        files[context.workspace.relative(path)] = path
    for name in (*script.FILES, "pack.py"):
        files[f"scripts/{name}"] = script.TEMPLATES / name
    texts = {
        "scripts/train.json": storage.dump_json(settings),
        RECORD: storage.dump_json(record(context)),
        REQUIREMENTS: requirements(settings),
        "README.txt": README.format(command=shlex.join(script.command(settings))),
    }
    content = {name: text.encode("utf-8") for name, text in texts.items()}
    sums = {name: storage.sha256_file(path) for name, path in files.items()}
    sums |= {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    content[SUMS] = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode("utf-8")
    with storage.atomic_write(target) as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name in sorted(files):
            archive.add(files[name], arcname=name, recursive=False)
        for name in sorted(content):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content[name]), 0o644
            archive.addfile(entry, io.BytesIO(content[name]))
    return sorted([*files, *content])


def collect(context: Context, archive: Path) -> Decision:
    """Put a result of this configuration and data in its place.

    Raises DataError for a damaged or unexpected archive, StaleInput if it was made from other
    settings or data. Nothing is touched before everything is verified.
    """
    with tempfile.TemporaryDirectory(dir=context.workspace.root, prefix=".collect-") as name:
        folder = Path(name)
        _extract(archive, folder)
        sums = _verify(archive, folder)
        _require_same(context, storage.read_json(folder / RECORD))
        targets = _targets(context)
        for file in sums:
            if file.endswith(PICKLES):
                raise DataError(f"{file!r} may hold code: only safetensors", where=str(archive))
            if not any(file == part or file.startswith(f"{part}/") for part in targets):
                raise DataError(f"unexpected file {file!r}", where=str(archive))
        script.write(context, storage.read_json(folder / "scripts/train.json"))
        for part in targets:
            _replace(folder / part, context.workspace.root / part)
        results = {file: sums[file] for file in sums if file != RECORD}
        storage.write_json(context.workspace.root / RECORD, {**record(context), "files": results})
    return Decision(value=archive.name, reason=f"{len(sums)} files trained elsewhere, verified")


def _targets(context: Context) -> list[str]:
    workspace = context.workspace
    folders = [context.path(f"save.{name}_path") for name in ("lora", "merged", "gguf")]
    files = [workspace.status, workspace.history, workspace.training_stats, workspace.script_config]
    return [workspace.relative(path) for path in (*folders, *files)] + [RECORD]


def _extract(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:gz") as content:
            for member in content:
                path = (folder / member.name).resolve()
                if not member.isfile() or not path.is_relative_to(folder.resolve()):
                    raise DataError(f"refused: {member.name!r}", where=str(archive))
                source = content.extractfile(member)
                assert source is not None  # it is a file
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    shutil.copyfileobj(source, target)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"not a readable archive ({error})", where=str(archive)) from None


def _verify(archive: Path, folder: Path) -> dict[str, str]:
    """Checksums of the files, all of them named in SHA256SUMS and as it says."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except OSError:
        raise DataError(f"holds no {SUMS}", where=str(archive)) from None
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    present = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    } - {SUMS}
    if present != set(sums):
        odd = sorted(present ^ set(sums))[0]
        raise DataError(f"{odd!r} is not both there and in {SUMS}", where=str(archive))
    for name, digest in sums.items():
        if storage.sha256_file(folder / name) != digest:
            raise DataError(f"{name!r} is damaged: its checksum differs", where=str(archive))
    if RECORD not in sums:
        raise DataError(f"holds no {RECORD}", where=str(archive))
    return sums


def _require_same(context: Context, made_from: dict[str, Any]) -> None:
    here = record(context)
    if made_from.get("settings_sha256") != here["settings_sha256"]:
        raise StaleInput(
            "the result was trained with other settings",
            hint="restore the configuration the bundle was made with, or make a new bundle",
        )
    names = sorted({*made_from.get("inputs", {}), *here["inputs"]})
    for name in names:
        if made_from.get("inputs", {}).get(name) != here["inputs"].get(name):
            raise StaleInput(f"the result was trained from another {name}")


def _replace(source: Path, target: Path) -> None:
    if not source.exists():
        return
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, target)


def collected(context: Context) -> bool:
    """Whether an unchanged result of exactly these settings and inputs was collected here."""
    path = context.workspace.root / RECORD
    if not path.is_file():
        return False
    known = storage.read_json(path)
    files = known.pop("files", {})
    if not files or known != record(context):
        return False
    present = {name: context.workspace.root / name for name in files}
    return all(
        file.is_file() and storage.sha256_file(file) == files[name]
        for name, file in present.items()
    )
