"""A configuration in layers: defaults < preset < workspace file < command line.

A preset is itself layered: hardware < lora < hyperparameters < expert < data set < its own values.
`load` merges the layers field by field, remembers where each value is from, and holds the result
against the limits of the preset's hardware.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from factory import config_file, limits, presets
from factory.artifacts import Decision
from factory.config import FIELDS_HINT, Config, Section, explain
from factory.errors import ConfigError, did_you_mean
from factory.presets import Catalog, by_memory
from factory.presets.by_memory import Choice
from factory.presets.tables import Preset
from factory.training import contradictions
from factory.workspace import CONFIG_NAME

Values = dict[str, Any]
DEFAULTS = "defaults"
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Layer:
    """Values by section and field, and who gives them."""

    name: str
    where: str
    values: Values


@dataclass(frozen=True)
class Resolved:
    """A validated configuration and where it is from.

    `layers` are in rising order; `decisions` are what a gate file has to remember of them.
    """

    config: Config
    layers: list[Layer]
    decisions: dict[str, Decision] = field(default_factory=dict)

    def origins(self, key: str) -> list[tuple[str, Any]]:
        """Every value that a dotted field got, lowest layer first: `(layer, value)`."""
        section, _, name = key.partition(".")
        found = [(DEFAULTS, _default(section, name))]
        for layer in self.layers:
            values = layer.values.get(section, _MISSING)
            if name:
                values = values.get(name, _MISSING) if isinstance(values, dict) else _MISSING
            if values is not _MISSING:
                found.append((layer.name, values))
        return found


_MISSING: Any = object()


def load(
    path: Path,
    overrides: Iterable[str] | None = None,
    *,
    preset: str | None = None,
    fit: bool | None = None,
) -> Resolved:
    """Read the configuration at `path` with its preset, apply overrides, validate, hold to limits.

    `preset` and `fit` stand in for the fields of the same name. Raises ConfigError that names the
    layer at fault, the field and the nearest right name.
    """
    path = config_file.locate(path)
    values = config_file.read(path)
    layer = Layer(path.name, str(path), _canonical(values))
    try:
        return resolve(layer, overrides, root=path.parent, preset=preset, fit=fit)
    except ConfigError as error:
        from factory import migrate  # it is built on this module's own

        if tool := migrate.recognised(values):
            error.hint = f"it looks like {tool}'s: python -m factory config migrate {path.name}"
        raise


def named(name: str, root: Path) -> Resolved:
    """The configuration that `name` stands for: a file, a workspace, or a preset."""
    path = root / name
    if path.is_dir():
        return load(path / CONFIG_NAME)
    if path.is_file():
        return load(path)
    catalog = presets.load(root)
    catalog.entry("presets", name, where=f"{name}, which is no file and no folder either")
    return of_preset(name, catalog)


def of_preset(name: str, catalog: Catalog) -> Resolved:
    """What a preset alone amounts to, above the defaults."""
    none = Layer("no file", f"preset {name}", {})
    return _resolve(none, [], catalog=catalog, preset=name, fit=None)


def flat(resolved: Resolved) -> Values:
    """Every value of a configuration by its dotted field name."""
    found: Values = {}
    for section, value in resolved.config.model_dump(mode="json", exclude={"schema_"}).items():
        if isinstance(value, dict):
            found |= {f"{section}.{name}": inner for name, inner in value.items()}
        else:
            found[section] = value
    return found


def resolve(
    workspace: Layer,
    overrides: Iterable[str] | None = None,
    *,
    root: Path | None = None,
    preset: str | None = None,
    fit: bool | None = None,
) -> Resolved:
    """The layers below and above one workspace layer, merged and validated."""
    overrides = list(overrides or [])
    needs_tables = preset or workspace.values.get("preset") or _machine(workspace, overrides)
    catalog = presets.load(root) if needs_tables else Catalog()
    return _resolve(workspace, overrides, catalog, root=root, preset=preset, fit=fit)


def _resolve(
    workspace: Layer,
    overrides: list[str],
    catalog: Catalog,
    *,
    root: Path | None = None,
    preset: str | None,
    fit: bool | None,
) -> Resolved:
    named = preset or workspace.values.get("preset")
    named_in = "--preset" if preset else workspace.where
    machine = _machine(workspace, overrides)
    choice = _choice(catalog, named, named_in, machine) if named else None
    below = _hardware_layer(catalog, choice, machine, workspace.where)
    below += _preset_layers(catalog, choice.preset) if choice else []
    asked: Values = {"preset": preset} if preset else {}
    if fit is not None:
        asked["fit"] = fit
    layers = [*below, workspace, Layer(COMMAND_LINE, "the command line", asked)]
    merged = _merge(layer.values for layer in layers)
    layers += _overrides(merged, overrides)
    _look_up_names(merged, catalog, root)
    resolved = Resolved(_validate(merged, layers), layers)
    if choice or machine:
        resolved = _hold_to_limits(resolved.config, merged, layers, catalog, choice)
    contradictions.refuse(resolved.config)
    return resolved


def _machine(workspace: Layer, overrides: list[str]) -> str | None:
    """The hardware profile that the file or the command line names; validated later."""
    named = workspace.values.get("hardware")
    for text in overrides:
        if text.partition("=")[0].strip() == "hardware":
            named = _parse_override(text)[1]
    return named if isinstance(named, str) else None


def _choice(catalog: Catalog, named: Any, where: str, machine: str | None) -> Choice:
    """The one preset that a name stands for."""
    if not isinstance(named, str):
        raise ConfigError(f"preset: not a name (got {named!r})", where=where)
    catalog.entry("presets", named, where=where)
    members = catalog.preset(named).sequence
    if members:
        raise ConfigError(
            f"preset {named!r} is a sequence of {', '.join(members)}",
            where=where,
            hint=f"run them in turn (python -m factory run all --preset {named}), "
            "or work in the workspace of one (-C experts/NAME)",
        )
    return by_memory.choose(catalog, named, machine)


def _hardware_layer(
    catalog: Catalog, choice: Choice | None, machine: str | None, where: str
) -> list[Layer]:
    """What the named machine allows and recommends, or else the preset's."""
    if machine is not None:
        name, mentioned = machine, where
    elif choice and (usual := catalog.preset(choice.preset).hardware):
        name, mentioned = usual, _mention(catalog, choice.preset)
    else:
        return []
    entry = catalog.entry("hardware", name, where=mentioned)
    return [Layer(f"hardware {name}", entry.where, _canonical(catalog.hardware(name).values()))]


def _mention(catalog: Catalog, preset: str) -> str:
    return f"{catalog.entry('presets', preset).where} [presets.{preset}]"


def _look_up_names(merged: Values, catalog: Catalog, root: Path | None) -> None:
    """Put what a `[datasets.*]` table says in the place of its name, in sources and mix.

    What stands beside the name has the last word. A name beside a path is only a name.
    """
    dataset = merged.get("dataset")
    if not isinstance(dataset, dict):
        return
    for key in ("sources", "mix"):
        entries: Any = dataset.get(key)
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and not (entry.get("path") or entry.get("hub")):
                tables = catalog if catalog.names("datasets") else presets.load(root)
                tables.entry("datasets", name, where=f"dataset.{key}[{number}].name")
                entries[number] = {**tables.dataset(name).source(), **entry}


def _preset_layers(catalog: Catalog, chosen: str) -> list[Layer]:
    preset = catalog.preset(chosen)
    named = (
        ("lora", "lora", preset.lora, catalog.lora),
        ("hyperparameters", "hyperparameters", preset.hyperparameters, catalog.hyperparameters),
        ("expert", "experts", preset.expert, lambda name: catalog.expert(name).values()),
        ("dataset", "datasets", preset.dataset, lambda name: catalog.dataset(name).values()),
    )
    layers = []
    for kind, table, name, values in named:
        if name is not None:
            entry = catalog.entry(table, name, where=_mention(catalog, chosen))
            layers.append(Layer(f"{kind} {name}", entry.where, _canonical(values(name))))
    own = _canonical({"preset": chosen, "project": {"name": chosen}})
    layers.append(
        Layer(
            f"preset {chosen}",
            catalog.entry("presets", chosen).where,
            _merge([own, _canonical(preset.values())]),
        )
    )
    return layers


def _canonical(values: Values) -> Values:
    """The same values with every alias replaced, so that layers meet under one name.

    Where a section gives a field under both names, both stay for the validation to refuse.
    """
    renamed: Values = {}
    for name, section in values.items():
        aliases = _section(name).aliases
        renamed[name] = (
            {
                (aliases.get(key, key) if aliases.get(key) not in section else key): value
                for key, value in section.items()
            }
            if isinstance(section, dict)
            else section
        )
    return renamed


def _section(name: str) -> type[Section]:
    """The model of one section; a plain Section (without aliases) for anything else."""
    known = Config.model_fields.get(name)
    kind = known.annotation if known else None
    return kind if isinstance(kind, type) and issubclass(kind, Section) else Section


def _merge(layers: Iterable[Values]) -> Values:
    """Later layers replace earlier ones, field by field within the sections."""
    merged: Values = {}
    for values in layers:
        for name, value in values.items():
            below = merged.get(name)
            if isinstance(value, dict) and isinstance(below, dict):
                value = {**below, **value}
            merged[name] = copy.deepcopy(value)
    return merged


def _overrides(merged: Values, overrides: Iterable[str]) -> list[Layer]:
    """Apply `a.b=value` texts to `merged` in order; one layer each."""
    layers = []
    for text in overrides:
        key, value = _parse_override(text)
        section, *inner = key.split(".")
        section_aliases = _section(section).aliases
        if inner:
            inner[0] = section_aliases.get(inner[0], inner[0])
        _set(merged, [section, *inner], value, where=f"--set {key}")
        given = {section: {inner[0]: merged[section][inner[0]]} if inner else value}
        layers.append(Layer(COMMAND_LINE, f"--set {text}", given))
    return layers


def _parse_override(override: str) -> tuple[str, Any]:
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(
            f"{override!r} is not KEY=VALUE", where="--set", hint="e.g. --set training.max_steps=60"
        )
    try:
        return key.strip(), json.loads(text)
    except ValueError:
        return key.strip(), text


def _set(values: Values, keys: list[str], value: Any, *, where: str) -> None:
    *parents, last = keys
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{parent!r} has no fields", where=where)
    values[last] = value


def _validate(merged: Values, layers: list[Layer]) -> Config:
    """A Config of the merged values; ConfigError says which layer brought which fault."""
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        faults = error.errors()
    sources = [_source(layers, fault["loc"]) for fault in faults]
    first = sources[0]
    told = [
        explain(fault) if source is first else f"{explain(fault)} (in {source.where})"
        for fault, source in zip(faults, sources, strict=True)
    ]
    raise ConfigError("; ".join(told), where=first.where, hint=FIELDS_HINT)


def _source(layers: list[Layer], location: tuple[int | str, ...]) -> Layer:
    """The highest layer that gives the field at `location`, or its section."""
    for depth in (2, 1):
        for layer in reversed(layers):
            value: Any = layer.values
            for part in location[:depth]:
                value = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
            if value is not _MISSING:
                return layer
    return next(layer for layer in layers if layer.name != COMMAND_LINE)


def _hold_to_limits(
    config: Config, merged: Values, layers: list[Layer], catalog: Catalog, choice: Choice | None
) -> Resolved:
    """Refuse what the hardware profile or the base model does not allow, or lower it with `fit`."""
    preset = catalog.preset(choice.preset) if choice else Preset()
    asked = any(layer.name == COMMAND_LINE and "preset" in layer.values for layer in layers)
    decisions = _decided(choice, "--preset" if asked else "the configuration")
    profile = config.hardware or preset.hardware
    found = limits.exceeded(
        config,
        hardware=catalog.hardware(profile) if profile else None,
        expert=catalog.expert(preset.expert) if preset.expert else None,
    )
    if not found:
        return Resolved(config, layers, decisions)
    if not config.fit:
        raise ConfigError(
            "; ".join(limit.message for limit in found),
            where=f"preset {choice.preset}" if choice else f"hardware {profile}",
            hint="lower them, choose another preset (python -m factory presets suggest), "
            "or let --fit lower them",
        )
    lowered: Values = {}
    for limit in found:
        for key, value in limit.lowered.items():
            section, _, name = key.partition(".")
            lowered.setdefault(section, {})[name] = value
            decisions[f"fit.{key}"] = Decision(value=value, reason=limit.message)
    layer = Layer("fit", f"hardware {profile}", lowered)
    layers = [*layers, layer]
    return Resolved(_validate(_merge([merged, lowered]), layers), layers, decisions)


def decisions_of(config: Config, root: Path) -> dict[str, Decision]:
    """The choice of a preset that a program's own configuration rests on."""
    if config.preset is None:
        return {}
    choice = _choice(presets.load(root), config.preset, "preset", config.hardware)
    return _decided(choice, "the configuration")


def _decided(choice: Choice | None, given_by: str) -> dict[str, Decision]:
    """The choice of a preset, as gate files remember it."""
    if choice is None:
        return {}
    reason = choice.reason or f"named by {given_by}"
    return {"preset": Decision(value=choice.preset, reason=reason)}


def _default(section: str, name: str) -> Any:
    """The default of a dotted field; ConfigError if there is no such field."""
    known = Config.model_fields.get(section)
    if known is None:
        raise _unknown(section, Config)
    kind = _section(section)
    if not name and kind is not Section:
        fields = ", ".join(f"{section}.{field}" for field in kind.model_fields)
        raise ConfigError(f"{section} is a section", where="--why", hint=f"name one: {fields}")
    if not name:
        return known.default
    if name not in kind.model_fields:
        raise _unknown(name, kind, prefix=f"{section}.")
    return kind.model_fields[name].get_default(call_default_factory=True)


def _unknown(name: str, kind: type[BaseModel], *, prefix: str = "") -> ConfigError:
    nearest = did_you_mean(name, kind.model_fields)
    return ConfigError(f"no field {prefix}{name}{nearest}", where="--why", hint=FIELDS_HINT)
