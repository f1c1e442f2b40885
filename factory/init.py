"""`factory init`: a workspace that runs as it is, with the built-in tiny model in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from factory import base_model, config, storage
from factory.errors import ConfigError
from factory.workspace import CONFIG_NAME

PACKAGE = Path(__file__).resolve().parent
WRITTEN_SECTIONS = ("project", "model", "lora", "training", "dataset", "evaluation", "save")


def demo_root() -> Path:
    """Where the demo's model, data and configuration lie: in the wheel, or in the checkout."""
    packaged = PACKAGE / "_demo"
    return packaged if packaged.is_dir() else PACKAGE.parent


def make(
    folder: Path,
    *,
    demo: bool = False,
    data: list[Path] | None = None,
    name: str | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """Make a workspace in `folder` and say what to do next.

    Raises ConfigError if there is a workspace already, or a data file cannot be read.
    """
    if (folder / CONFIG_NAME).exists():
        raise ConfigError("there is a workspace already", where=str(folder / CONFIG_NAME))
    for path in data or []:
        if not path.is_file():
            raise ConfigError("no such file", where=f"--data {path}")
    values = _configuration(folder, demo=demo, name=name, model=model)
    source = demo_root()
    (folder / "data" / "raw").mkdir(parents=True, exist_ok=True)
    if values["model"]["name"] == "models/base":
        shutil.copytree(source / "models" / "base", folder / "models" / "base", dirs_exist_ok=True)
    if demo:
        shutil.copytree(source / "data" / "raw", folder / "data" / "raw", dirs_exist_ok=True)
    for path in data or []:
        shutil.copyfile(path, folder / "data" / "raw" / path.name)
    storage.write_json(folder / CONFIG_NAME, values)
    return {"workspace": str(folder), "next": _next_commands(folder, bool(demo or data))}


def _configuration(
    folder: Path, *, demo: bool, name: str | None, model: str | None
) -> dict[str, Any]:
    values: dict[str, Any] = (
        storage.read_json(demo_root() / CONFIG_NAME)
        if demo
        else config.validate({}).model_dump(
            mode="json", by_alias=True, include=set(WRITTEN_SECTIONS)
        )
    )
    if name or not demo:
        values.setdefault("project", {})["name"] = name or folder.resolve().name
    if model:
        values.setdefault("model", {})["name"] = _model_name(folder, model, values)
    config.validate(values, where=str(folder / CONFIG_NAME))
    return values


def _model_name(folder: Path, model: str, values: dict[str, Any]) -> str:
    """A hub id stays; a local folder is named absolutely and its use allowed explicitly."""
    if not Path(model).is_dir():
        if model == "models/base" or base_model.HUB_ID.match(model):
            return model
        raise ConfigError(
            f"{model!r} is neither a folder nor a Hugging Face model id", where="--model"
        )
    resolved = Path(model).resolve()
    if not resolved.is_relative_to(folder.resolve()):
        values.setdefault("project", {}).setdefault("allowed_paths", []).append(str(resolved))
    return str(resolved)


def _next_commands(folder: Path, has_data: bool) -> list[str]:
    import shlex

    place = f"cd {shlex.quote(str(folder))}"
    first = [] if has_data else ["put your examples into data/raw (.jsonl or .json)"]
    return [place, *first, "python -m factory run all"]
