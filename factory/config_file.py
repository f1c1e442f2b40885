"""A configuration file as plain values: training-config.json, or the same as YAML or TOML."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from factory import storage
from factory.errors import ConfigError, DataError

OTHER_SUFFIXES = (".yaml", ".yml", ".toml")


def locate(path: Path) -> Path:
    """`path` (the JSON file) if it exists, else the one beside it in YAML or TOML.

    Raises ConfigError when there is none, or when two compete.
    """
    if path.exists():
        return path
    found = [other for other in map(path.with_suffix, OTHER_SUFFIXES) if other.exists()]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"two configurations: {' and '.join(other.name for other in found)}",
            where=str(path.parent),
            hint="keep one",
        )
    raise ConfigError(
        "no configuration here",
        where=str(path),
        hint="make a workspace with: python -m factory init DIR",
    )


def read(path: Path) -> dict[str, Any]:
    """Parse one file by its suffix; ConfigError names the file and the place in it."""
    try:
        values = _parse(path)
    except DataError as error:
        raise ConfigError(error.message, where=error.where) from None
    if not isinstance(values, dict):
        kind = "a JSON object" if path.suffix == ".json" else "a mapping"
        raise ConfigError(f"must be {kind}", where=str(path))
    return values


def _parse(path: Path) -> Any:
    if path.suffix in (".yaml", ".yml"):
        with storage.open_regular(path) as file:
            return parse_yaml(file.read(), where=str(path))
    if path.suffix == ".toml":
        from factory.presets import read_toml

        return read_toml(path)
    return storage.read_json(path)


def parse_yaml(raw: bytes, *, where: str) -> Any:
    """Parse YAML strictly: no Python objects, no duplicate keys, and `2e-4` is a number."""
    import yaml

    class Loader(yaml.SafeLoader):
        """SafeLoader that refuses duplicate keys, which it would otherwise drop silently."""

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key) for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key!r} is given twice", node.start_mark
                    )
            return super().construct_mapping(node, deep)

    # YAML 1.1 reads 2e-4 as text: it wants a dot. YAML 1.2 and everybody else read a number.
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"),
        list("-+0123456789"),
    )
    try:
        return yaml.load(raw.decode("utf-8-sig"), Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        message = " ".join(str(error).split())
        raise ConfigError(f"not valid YAML: {message}", where=where) from None
