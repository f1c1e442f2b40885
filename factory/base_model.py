"""The model that everything starts from: a folder in the workspace or a Hugging Face id."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory import storage
from factory.config import HUB_ID
from factory.context import Context
from factory.errors import ConfigError, DataError, FactoryError

TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)


@dataclass(frozen=True)
class BaseModel:
    """Where the base model lies and which revision it is."""

    name: str
    revision: str | None
    folder: Path

    def files(self) -> dict[str, Path]:
        """Name -> real path of every file of the model (a hub cache links into its blobs)."""
        return {
            f"{self.name}/{path.relative_to(self.folder).as_posix()}": path.resolve()
            for path in storage.list_files(self.folder)
        }

    def tokenizer_files(self) -> dict[str, Path]:
        """Only what decides how text becomes tokens."""
        return {
            name: path for name, path in self.files().items() if Path(name).name in TOKENIZER_FILES
        }


def resolve(context: Context) -> BaseModel:
    """Find `model.name`; ConfigError when it is neither a model folder nor a hub id we can get."""
    name = context.config.model.name
    # os.path.isdir says no, where Path.is_dir raises, to names that no file system takes.
    if os.path.isdir(context.workspace.root / name):
        return _local(context, name)
    if HUB_ID.match(name) and not name.startswith("models/"):
        return _from_hub(name, context.config.model.revision)
    raise ConfigError(
        f"{name!r} is neither a folder here nor a Hugging Face model id",
        where="model.name",
        hint="use models/base (the built-in tiny model), a folder of the workspace, or OWNER/NAME",
    )


def _local(context: Context, name: str) -> BaseModel:
    folder = context.resolve(name, field="model.name")
    if context.config.model.revision is not None:
        raise ConfigError(
            "a folder has no revisions",
            where="model.revision",
            hint="null; or give model.name as OWNER/NAME on Hugging Face",
        )
    _require_safe_model(folder, name)
    return BaseModel(name=name.rstrip("/"), revision=None, folder=folder)


def _from_hub(name: str, revision: str | None) -> BaseModel:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise ConfigError(
            f"{name!r} cannot be had: {str(error).splitlines()[0]}",
            where="model.name",
            hint="check the id, the network, HF_TOKEN for gated models, or use models/base",
        ) from None
    _require_safe_model(folder, name)
    return BaseModel(name=name, revision=folder.name, folder=folder)


def _foreign_code(value: Any) -> str | None:
    """The key, at any depth, by which transformers would load code from a model or the hub."""
    if not isinstance(value, dict):
        return None
    for key, inner in value.items():
        # An attention implementation with a slash is a kernel of the hub: code.
        if key in ("auto_map", "custom_pipelines") and inner:
            return str(key)
        if "attn_implementation" in key and "/" in str(inner):
            return str(key)
        if found := _foreign_code(inner):
            return found
    return None


def _require_safe_model(folder: Path, name: str) -> None:
    """Refuse a folder that is no model, or one that would run code when it is loaded."""
    try:
        configuration = storage.read_json((folder / "config.json").resolve())
    except DataError as error:
        raise ConfigError(
            f"{name!r} holds no usable config.json ({error.message})", where="model.name"
        ) from None
    if not isinstance(configuration, dict):
        raise ConfigError(f"{name!r}: config.json is not an object", where="model.name")
    for path in sorted(folder.glob("*.json")):
        if path.name.endswith(".index.json") or path.name == "tokenizer.json":
            continue  # large, and never asked for code
        if code := _foreign_code(storage.read_json(path.resolve())):
            raise FactoryError(
                f"{name!r} brings its own Python code ({code} in {path.name})",
                where="model.name",
                hint="such code is never run; use a model that transformers itself supports",
            )
    if not any(folder.glob("*.safetensors")):
        raise ConfigError(
            f"{name!r} holds no *.safetensors weights",
            where="model.name",
            hint="pickled weights (.bin, .pt) are refused: convert them to safetensors",
        )
