"""Presets: hardware, experts, adapters, hyperparameters and data sets by name, and combinations.

The shipped tables are the TOML files beside this module; a workspace's `presets.toml` is laid on
top of them, entry by entry. `factory/layers.py` turns a chosen preset into configuration values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from factory import config, storage
from factory.errors import ConfigError, DataError, did_you_mean
from factory.presets.tables import (
    DatasetProfile,
    ExpertProfile,
    Hardware,
    Preset,
    hyperparameter_values,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = Path(__file__).resolve().parent
FILE_NAME = "presets.toml"
TABLES = ("hardware", "experts", "lora", "hyperparameters", "datasets", "presets")
# Tables of the seed's file that only describe the file itself.
IGNORED_TABLES = ("metadata",)
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Entry:
    """One named table as it was read, and the file it is from."""

    values: dict[str, Any]
    where: str


@dataclass(frozen=True)
class Catalog:
    """All named tables, by kind: `entries["hardware"]["mac-mps"]`."""

    entries: dict[str, dict[str, Entry]] = field(
        default_factory=lambda: {table: {} for table in TABLES}
    )

    def single_presets(self) -> list[str]:
        """The presets that are one configuration, not a list of others."""
        return [name for name in self.names("presets") if not self.preset(name).listed]

    def names(self, table: str) -> list[str]:
        """The names in one table, in the order of the files."""
        return list(self.entries[table])

    def entry(self, table: str, name: str, *, where: str | None = None) -> Entry:
        """One named table; ConfigError with the nearest name, and `where` it was mentioned."""
        if name in self.entries[table]:
            return self.entries[table][name]
        kind = table.removesuffix("s") if table != "hyperparameters" else table
        raise ConfigError(
            f"no {kind} {name!r}{did_you_mean(name, self.names(table))}",
            where=where,
            hint="python -m factory presets"
            + ("" if table == "presets" else f" --{table}")
            + " lists them",
        )

    def hardware(self, name: str) -> Hardware:
        """A machine profile."""
        return self._model(Hardware, "hardware", name)

    def expert(self, name: str) -> ExpertProfile:
        """Who a model is."""
        return self._model(ExpertProfile, "experts", name)

    def dataset(self, name: str) -> DatasetProfile:
        """A named data set."""
        return self._model(DatasetProfile, "datasets", name)

    def preset(self, name: str) -> Preset:
        """A combination of the others."""
        return self._model(Preset, "presets", name)

    def lora(self, name: str) -> dict[str, Any]:
        """An adapter, as configuration values."""
        entry = self.entry("lora", name)
        self._validated(config.Lora, "lora", name, entry.values, entry.where)
        return {"lora": dict(entry.values)}

    def hyperparameters(self, name: str) -> dict[str, Any]:
        """A training run, as configuration values."""
        entry = self.entry("hyperparameters", name)
        try:
            values = hyperparameter_values(entry.values)
        except ValueError as error:
            raise ConfigError(str(error), where=f"{entry.where} [hyperparameters.{name}]") from None
        self._validated(config.Training, "hyperparameters", name, values["training"], entry.where)
        return values

    def _model(self, kind: type[ModelT], table: str, name: str) -> ModelT:
        entry = self.entry(table, name)
        return self._validated(kind, table, name, entry.values, entry.where)

    @staticmethod
    def _validated(
        kind: type[ModelT], table: str, name: str, values: dict[str, Any], where: str
    ) -> ModelT:
        try:
            return kind.model_validate(values)
        except ValidationError as error:
            faults = [config.explain(fault, kind) for fault in error.errors()]
        raise ConfigError("; ".join(faults), where=f"{where} [{table}.{name}]")

    def check(self) -> None:
        """Validate every table and every name that a preset mentions."""
        for name in self.names("hardware"):
            self.hardware(name)
        for name in self.names("experts"):
            self.expert(name)
        for name in self.names("lora"):
            self.lora(name)
        for name in self.names("hyperparameters"):
            self.hyperparameters(name)
        for name in self.names("datasets"):
            self.dataset(name)
        for name in self.names("presets"):
            for mentioned in self.preset(name).listed:
                if self.preset(mentioned).listed:
                    raise ConfigError(
                        f"{mentioned!r} is a list of presets itself",
                        where=f"{self.entry('presets', name).where} [presets.{name}]",
                    )


def load(root: Path | None = None) -> Catalog:
    """The shipped tables with `presets.toml` of the workspace at `root` on top.

    Raises ConfigError naming the file and the line, or the table that is unknown.
    """
    catalog = Catalog()
    for path in sorted(SHIPPED.glob("*.toml")):
        _add(catalog, read_toml(path), where=f"factory/presets/{path.name}")
    if root is not None and (root / FILE_NAME).exists():
        _add(catalog, read_toml(root / FILE_NAME), where=str(root / FILE_NAME))
    return catalog


def _add(catalog: Catalog, tables: dict[str, Any], *, where: str) -> None:
    for table, entries in tables.items():
        if table in IGNORED_TABLES:
            continue
        if table not in TABLES:
            raise ConfigError(
                f"unknown table [{table}]{did_you_mean(table, TABLES)}",
                where=where,
                hint=f"tables: {', '.join(TABLES)}; python -m factory config migrate moves others",
            )
        for name, values in _named_tables(entries, table, where):
            catalog.entries[table][name] = Entry(values, where)


def _named_tables(entries: Any, table: str, where: str) -> Iterable[tuple[str, dict[str, Any]]]:
    if not isinstance(entries, dict):
        raise ConfigError(f"{table} is not a table", where=where, hint=f"write [{table}.NAME]")
    for name, values in entries.items():
        if not isinstance(values, dict):
            raise ConfigError(
                f"{table}.{name} is not a table", where=where, hint=f"write [{table}.NAME]"
            )
        yield name, values


def read_toml(path: Path) -> dict[str, Any]:
    """Parse one TOML file; ConfigError names file, line and column."""
    try:
        with storage.open_regular(path) as file:
            return tomllib.loads(file.read().decode("utf-8-sig"))
    except DataError as error:
        raise ConfigError(error.message, where=error.where) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from None
