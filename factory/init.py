"""`factory init`: a workspace that runs as it is, with the built-in tiny model in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from factory import layers, presets, samples, sequence, storage
from factory.config import HUB_ID, Config
from factory.errors import ConfigError
from factory.workspace import CONFIG_NAME

BUILT_IN = "models/base"
PACKAGE = Path(__file__).resolve().parent


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
    preset: str | None = None,
    sample: bool = False,
) -> dict[str, Any]:
    """Make a workspace in `folder` and say what to do next.

    The configuration holds only what was chosen: everything else is a default or the preset's.
    Raises ConfigError if there is a workspace already, or a data file cannot be read.
    """
    if demo and (preset or sample):
        raise ConfigError("--demo brings its own settings and data: leave out --preset, --sample")
    if (folder / CONFIG_NAME).exists():
        raise ConfigError("there is a workspace already", where=str(folder / CONFIG_NAME))
    for path in data or []:
        if not path.is_file():
            raise ConfigError("no such file", where=f"--data {path}")
    values = _configuration(folder, demo=demo, name=name, model=model, preset=preset)
    resolved = _resolved(values, folder)
    source = demo_root()
    (folder / "data" / "raw").mkdir(parents=True, exist_ok=True)
    if any(config.model.name == BUILT_IN for config in resolved):
        shutil.copytree(source / "models" / "base", folder / "models" / "base", dirs_exist_ok=True)
    if demo:
        shutil.copytree(source / "data" / "raw", folder / "data" / "raw", dirs_exist_ok=True)
    for path in data or []:
        shutil.copyfile(path, folder / "data" / "raw" / path.name)
    for config in resolved if sample else ():
        samples.write(folder, config)
    storage.write_json(folder / CONFIG_NAME, values)
    has_data = bool(demo or data or sample)
    return {"workspace": str(folder), "next": _next_commands(folder, has_data)}


def _resolved(values: dict[str, Any], folder: Path) -> list[Config]:
    """What the new file amounts to: one configuration, or one for each member of a sequence."""
    where = str(folder / CONFIG_NAME)
    members: list[str | None] = [*sequence.members(folder, values.get("preset"))] or [None]
    own = layers.Layer(CONFIG_NAME, where, values)
    return [layers.resolve(own, preset=preset).config for preset in members]


def _configuration(
    folder: Path, *, demo: bool, name: str | None, model: str | None, preset: str | None
) -> dict[str, Any]:
    if demo:
        values: dict[str, Any] = storage.read_json(demo_root() / CONFIG_NAME)
    else:
        values = {"preset": preset} if preset else {"model": {"name": BUILT_IN}}
    name = name or (None if demo or _is_named(folder, preset) else folder.resolve().name)
    if name:
        values.setdefault("project", {})["name"] = name
    if model:
        values.setdefault("model", {})["name"] = _model_name(folder, model, values)
    return values


def _is_named(folder: Path, preset: str | None) -> bool:
    """Whether the preset itself says what the project is called."""
    if preset is None:
        return False
    return "name" in presets.load(folder).preset(preset).config.get("project", {})


def _model_name(folder: Path, model: str, values: dict[str, Any]) -> str:
    """A hub id stays; a local folder is named absolutely and its use allowed explicitly."""
    if model == BUILT_IN or (not Path(model).is_dir() and HUB_ID.match(model)):
        return model
    if not Path(model).is_dir():
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
