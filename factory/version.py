"""`project.version`: raised by one part, and written into the workspace's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from factory import config_file, storage
from factory.errors import ConfigError

Part = Literal["major", "minor", "patch"]
PARTS: tuple[Part, ...] = ("major", "minor", "patch")


def bumped(version: str, part: Part) -> str:
    """The next version: the part one higher, those below it zero."""
    numbers = [int(number) for number in version.split(".")]
    place = PARTS.index(part)
    raised = [*numbers[:place], numbers[place] + 1, *([0] * (len(numbers) - place - 1))]
    return ".".join(map(str, raised))


def write(path: Path, version: str) -> None:
    """Set `project.version` in the configuration file; ConfigError if it is not JSON.

    YAML and TOML files are a person's: rewriting one would lose its comments.
    """
    found = config_file.locate(path)
    if found.suffix != ".json":
        raise ConfigError(
            f"the release is made; set project.version to {version} here yourself",
            where=str(found),
            hint="comments would be lost if it were rewritten",
        )
    values = config_file.read(found)
    values.setdefault("project", {})["version"] = version
    storage.write_json(found, values)
