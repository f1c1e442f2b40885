"""What a project, its release and the files in it are called.

A release is named by the template `project.release_name`.

A template without `{suffix}` names the folder and starts the GGUF names; the folders inside are
`adapter` and `merged`. One with `{suffix}` names every artifact:

    AJ-Qwen32B-v2.0.0/ AJ-Qwen32B-v2.0.0-lora/ AJ-Qwen32B-v2.0.0-merged/
                       gguf/AJ-Qwen32B-v2.0.0-q4km.gguf
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory.errors import did_you_mean

if TYPE_CHECKING:
    from factory.config import Config

PLACEHOLDERS = ("project", "base", "version", "suffix")
SUFFIX = "{suffix}"
LORA, MERGED = "lora", "merged"
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class ReleaseNames:
    """Names of a release; `adapter`, `merged` and `gguf` are paths inside the folder.

    There is no adapter where every weight was trained.
    """

    folder: str
    adapter: str | None
    merged: str
    gguf: dict[str, str]

    def as_json(self) -> dict[str, str]:
        """Path inside the release by artifact, as metadata.json lists them."""
        adapter = {} if self.adapter is None else {LORA: self.adapter}
        return {**adapter, MERGED: self.merged, **self.gguf}


def of(config: Config) -> ReleaseNames:
    """The names that a configuration leads to."""
    template, quantizations = _filled(config), config.save.gguf_quantization
    folder = _without_suffix(template)
    full = config.model.full_finetuning
    if SUFFIX not in template:
        return ReleaseNames(
            folder=folder,
            adapter=None if full else "adapter",
            merged="merged",
            gguf={name: f"gguf/{folder}-{name}.gguf" for name in quantizations},
        )
    return ReleaseNames(
        folder=folder,
        adapter=None if full else template.replace(SUFFIX, LORA),
        merged=template.replace(SUFFIX, MERGED),
        gguf={
            name: f"gguf/{template.replace(SUFFIX, suffix(name))}.gguf" for name in quantizations
        },
    )


def checked(template: str) -> str:
    """The template, if it can name a folder for each version; ValueError says what is wrong."""
    for name in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            nearest = did_you_mean(name, PLACEHOLDERS)
            raise ValueError(f"no placeholder {{{name}}}, it knows {_known()}{nearest}")
    plain = _PLACEHOLDER.sub("", template)
    if not re.fullmatch(r"[A-Za-z0-9._-]*", plain) or template.startswith("."):
        raise ValueError(f"letters, digits, dot, dash, underscore, {_known()}")
    if "{version}" not in template:
        raise ValueError("it needs {version}: a release is never overwritten by the next one")
    return template


def _known() -> str:
    return ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)


def _without_suffix(template: str) -> str:
    """The template without `{suffix}` and the mark that joins it to the rest."""
    return re.sub(r"[._-]\{suffix\}|\{suffix\}[._-]?", "", template)


def suffix(quantization: str) -> str:
    """The short form of a quantization: q4_k_m is q4km, q8_0 is q8, f16 is f16."""
    return quantization.removesuffix("_0").replace("_", "")


def slug(name: str) -> str:
    """A file-name-safe form of a project name: letters, digits, dot, dash, underscore."""
    safe = "".join(
        character if character.isalnum() or character in "._" else "-" for character in name
    )
    return "-".join(part for part in safe.strip("-._").split("-") if part)[:80] or "model"


def _filled(config: Config) -> str:
    """The template with everything but `{suffix}` replaced."""
    project = config.project
    base = project.base_name or config.model.name.rstrip("/").rpartition("/")[2]
    return project.release_name.format(
        project=slug(project.name),
        base=slug(base),
        version=project.version,
        suffix=SUFFIX,
    )
