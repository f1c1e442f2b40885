"""`factory config migrate`: another tool's configuration in the words of this one.

Values with a counterpart are moved; every other one is reported with the reason. Where the other
tool's default differs from ours, its default is written out, so that the run stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from factory import config_file, storage
from factory.config import Config
from factory.errors import ConfigError, did_you_mean
from factory.migrate.axolotl import AXOLOTL
from factory.migrate.llamafactory import LLAMA_FACTORY
from factory.migrate.presets_file import PRESETS_FILE, keep_known_tables
from factory.migrate.rules import NoCounterpart, Tool, Values
from factory.migrate.seeds import FLAT, NESTED
from factory.migrate.unsloth import UNSLOTH

TOOLS = {
    "llama-factory": LLAMA_FACTORY,
    "axolotl": AXOLOTL,
    "unsloth": UNSLOTH,
    "flat": FLAT,
    "nested": NESTED,
}
OWN = "this factory"


@dataclass(frozen=True)
class Dropped:
    """A value that was not moved."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True)
class Migrated:
    """The new file, and what became of each value of the old one (`moved`: old key -> new)."""

    tool: str
    text: str
    moved: dict[str, list[str]] = field(default_factory=dict)
    dropped: list[Dropped] = field(default_factory=list)

    def rows(self) -> list[tuple[str, str, str]]:
        """The dropped values as a table."""
        return [(drop.key, _short(drop.value), drop.why) for drop in self.dropped]

    def as_json(self) -> dict[str, Any]:
        """The result as `--json` prints it."""
        return {
            "tool": self.tool,
            "text": self.text,
            "moved": self.moved,
            "dropped": [{"key": drop.key, "why": drop.why} for drop in self.dropped],
        }


def migrate(path: Path, *, tool: str | None = None) -> Migrated:
    """Read `path` (YAML, TOML or JSON) and move what can be moved.

    Raises ConfigError when the file cannot be read or its tool cannot be told.
    """
    values = config_file.read(path)
    if path.suffix == ".toml" and PRESETS_FILE & set(values):
        text, tables = keep_known_tables(path)
        return Migrated(
            "presets file",
            text,
            moved={name: [name] for name in values if name not in tables},
            dropped=[Dropped(name, values[name], why) for name, why in tables.items()],
        )
    if tool is None and (own := _own(values)) is not None:
        return own
    chosen = _tool(values, tool, path)
    return _move(chosen, flatten(values))


def recognised(values: Values) -> str | None:
    """The tool whose configuration this surely is: at least two of its own keys are there."""
    keys = set(flatten(values)) | set(values)
    best = max(TOOLS.values(), key=lambda tool: len(tool.marks & keys))
    return best.name if len(best.marks & keys) >= 2 else None


def _own(values: Values) -> Migrated | None:
    """A file that is valid here as it is."""
    try:
        Config.model_validate(values)
    except ValueError:
        return None
    keys = {key: [key] for key in flatten(values)}
    return Migrated(OWN, storage.dump_json(values), moved=keys)


def _tool(values: Values, name: str | None, path: Path) -> Tool:
    if name is not None:
        if name in TOOLS:
            return TOOLS[name]
        raise ConfigError(
            f"no tool {name!r}{did_you_mean(name, TOOLS)}",
            where="--from",
            hint=f"one of: {', '.join(TOOLS)}",
        )
    keys = set(flatten(values)) | set(values)
    best = max(TOOLS.values(), key=lambda tool: len(tool.marks & keys))
    if not best.marks & keys:
        raise ConfigError(
            "of no tool that is known here",
            where=str(path),
            hint=f"say which: --from {'|'.join(TOOLS)}",
        )
    return best


def flatten(values: Values, prefix: str = "") -> Values:
    """Nested tables as dotted keys; lists stay whole."""
    flat: Values = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _move(tool: Tool, old: Values) -> Migrated:
    moved: dict[str, list[str]] = {}
    dropped: list[Dropped] = []
    new: Values = {}
    for key, value in old.items():
        try:
            found = _moved(tool, key, value)
            _require_valid(found)
        except NoCounterpart as error:
            dropped.append(Dropped(key, value, str(error)))
            continue
        new |= found
        moved[key] = list(found)
    implied = {
        key: value(new) if callable(value) else value
        for key, value in tool.implied.items()
        if key not in new
    }
    return Migrated(tool.name, storage.dump_json(_nested(implied | new)), moved, dropped)


def _moved(tool: Tool, key: str, value: Any) -> Values:
    for name in (key, key.partition(".")[0]):
        if name in tool.dropped:
            raise NoCounterpart(tool.dropped[name])
    if key not in tool.rules:
        known = [*tool.rules, *tool.dropped]
        raise NoCounterpart(f"not a setting of {tool.name} that is known{did_you_mean(key, known)}")
    try:
        return tool.rules[key](value)
    except (TypeError, KeyError, AttributeError):
        raise NoCounterpart("not of the form that this setting has there") from None


def _require_valid(found: Values) -> None:
    """NoCounterpart with our own message when a moved value is not accepted here."""
    from factory import config

    try:
        config.validate(_nested(found), where="")
    except ConfigError as error:
        raise NoCounterpart(error.message) from None


def _nested(flat: Values) -> Values:
    nested: Values = {}
    for key in flat:
        section, _, name = key.partition(".")
        nested.setdefault(section, {})[name] = flat[key]
    return nested


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
