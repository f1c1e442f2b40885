"""Lists of data sets that other tools keep, as sources here: one module a tool.

`sources` returns values of `config.Source`, one table a data set; what has no counterpart here is
refused with the reason, never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from factory import config_file
from factory.config import Source
from factory.data.indexes import axolotl, llamafactory
from factory.data.indexes.refusal import Refused
from factory.errors import ConfigError, did_you_mean

Values = dict[str, Any]


def is_index(source: Source) -> bool:
    """Whether a source is a list of data sets, not the rows of one."""
    if not isinstance(source.path, str):
        return False
    name = PurePosixPath(source.path).name
    return bool(source.entries) or llamafactory.is_index(name) or axolotl.is_index(name)


def read(source: Source, path: Path, exists: Callable[[str], bool]) -> list[Source]:
    """The data sets of the list that lies at `path`; `exists` tells whether a path is one here.

    Raises ConfigError naming the data set, the field, and why it cannot be read.
    """
    (where,) = source.paths
    values = config_file.read(path)
    try:
        if axolotl.is_index(path.name):
            found = axolotl.sources(_listed(values, "datasets"), exists)
        else:
            folder = PurePosixPath(where).parent.as_posix()
            found = llamafactory.sources(_chosen(values, source.entries, where), folder)
        return [Source.model_validate(table) for table in found]
    except Refused as refused:
        raise ConfigError(
            str(refused),
            where=f"{where}: {refused.place}",
            hint="mend it there"
            + ("" if axolotl.is_index(path.name) else ", or name the others in entries"),
        ) from None


def _listed(values: Values, name: str) -> list[Any]:
    found = values.get(name)
    if not isinstance(found, list) or not found:
        raise Refused(name, "no list of data sets")
    if values.get("test_datasets"):
        raise Refused("test_datasets", "list them in dataset.sources, with val or test in the name")
    return found


def _chosen(values: Values, names: Sequence[str], where: str) -> Values:
    for name in names:
        if name not in values:
            raise ConfigError(
                f"no data set {name!r}{did_you_mean(name, values)}",
                where=where,
                hint=f"there are {len(values)}: {', '.join([*values][:20])}",
            )
    return {name: values[name] for name in names} if names else values
