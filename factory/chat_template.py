"""`dataset.chat_template`: the model's own template, one by name, or a Jinja file of the workspace.

Named templates are Unsloth's. They are read out of its source file, not imported: importing
Unsloth takes seconds and patches libraries. The text, once found, is what every stage uses, what
scripts/train.json holds, and what goes into the merged model and the GGUF.
"""

from __future__ import annotations

import ast
import json
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from factory import base_model, storage
from factory.context import Context
from factory.errors import ConfigError, DataError, did_you_mean
from factory.storage import open_regular

FIELD = "dataset.chat_template"
JINJA_SUFFIXES = (".jinja", ".jinja2", ".j2")
HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
CHATML = ("<|im_start|>", "<|im_end|>")
# The control tokens that a template writes: the vocabulary has to have them. Zephyr, Alpaca and
# Mistral write their marks as plain text (later Mistral vocabularies have them as tokens, too).
NAMED: dict[str, tuple[str, ...]] = {
    "alpaca": (),
    "chatml": CHATML,
    "gemma-3": ("<start_of_turn>", "<end_of_turn>"),
    "llama-3": HEADERS,
    "llama-3.1": HEADERS,
    "mistral": (),
    "phi-4": (*CHATML, "<|im_sep|>"),
    "qwen-2.5": CHATML,
    "qwen-3": CHATML,
    "zephyr": (),
}


def override(context: Context) -> str | None:
    """The Jinja text that replaces the model's own template; None keeps that.

    Raises ConfigError if the configured value is no template, or one whose control tokens the
    base model's vocabulary lacks.
    """
    name = context.config.dataset.chat_template
    if name is None:
        return None
    if name in NAMED:
        _require_tokens(context, name)
        return named(name)
    path = file(context)
    if path is None:
        raise ConfigError(
            f"no template {name!r}{did_you_mean(name, NAMED)}",
            where=FIELD,
            hint=f"templates: {', '.join(NAMED)}; or a .jinja file of the workspace, or null for "
            "the model's own",
        )
    try:
        with open_regular(path) as opened:
            return opened.read().decode("utf-8")
    except (DataError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {error}", where=FIELD) from None


def file(context: Context) -> Path | None:
    """The configured template file; None if the template is named or the model's own.

    Raises ConfigError if there is no such file.
    """
    name = context.config.dataset.chat_template
    if name is None or not name.endswith(JINJA_SUFFIXES):
        return None
    path = context.resolve(name, field=FIELD)
    if not path.exists():
        raise ConfigError(
            f"{name}: no such file",
            where=FIELD,
            hint=f"name a file of the workspace, or a template: {', '.join(NAMED)}",
        )
    return path


def named(name: str) -> str:
    """The text of a named template, with its default system message where it has one."""
    found = _unsloth()
    text, defaults = found["CHAT_TEMPLATES"][name], found["DEFAULT_SYSTEM_MESSAGE"]
    return str(text).replace("{system_message}", defaults[name] or "")


def _require_tokens(context: Context, name: str) -> None:
    """A token that the vocabulary lacks would become letters, and no answer would ever end.

    Adding it is no way out: its embedding would start at random, and an adapter leaves
    embeddings untrained.
    """
    base = base_model.resolve(context)
    known = _control_tokens(base.folder)
    lacking = [token for token in NAMED[name] if token not in known]
    if lacking:
        fitting = ", ".join(other for other in NAMED if set(NAMED[other]) <= known)
        raise ConfigError(
            f"{name!r} writes {', '.join(lacking)}, which the vocabulary of {base.name} lacks",
            where=FIELD,
            hint=f"templates for this vocabulary: {fitting}; or null for the model's own",
        )


@lru_cache(maxsize=4)
def _control_tokens(folder: Path) -> frozenset[str]:
    """The tokens that a tokenizer matches as a whole before it splits text."""
    try:
        known = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        added = {token["content"] for token in known["added_tokens"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"the vocabulary cannot be read ({type(error).__name__}: {error})",
            where=str(folder / "tokenizer.json"),
            hint="a named template needs it; give a .jinja file, or null for the model's own",
        ) from None
    return frozenset(added)


@lru_cache(maxsize=1)
def _unsloth() -> dict[str, dict[str, Any]]:
    """Unsloth's two tables, by evaluating the literals that its source file assigns."""
    spec = find_spec("unsloth")
    if spec is None or spec.origin is None:
        raise ConfigError(
            "named templates come with Unsloth, which is not installed",
            where=FIELD,
            hint="run scripts/setup.sh, or give a .jinja file",
        )
    source = Path(spec.origin).with_name("chat_templates.py").read_text(encoding="utf-8")
    variables: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {"CHAT_TEMPLATES": {}, "DEFAULT_SYSTEM_MESSAGE": {}}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign):
            target, value = statement.targets[0], _literal(statement.value, variables)
            if isinstance(target, ast.Name):
                variables[target.id] = value
            elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                key = _literal(target.slice, variables)
                tables.get(target.value.id, {})[key] = value
    for name in NAMED:
        if not isinstance(tables["CHAT_TEMPLATES"].get(name), str):
            raise ConfigError(
                f"the installed Unsloth has no template {name!r}",
                where=FIELD,
                hint="install the pinned version: scripts/setup.sh",
            )
    return tables


def _literal(node: ast.expr, variables: dict[str, Any]) -> Any:
    """The value of a literal, or of a name; of a tuple, the first. None for anything else."""
    if isinstance(node, ast.Tuple) and node.elts:
        return _literal(node.elts[0], variables)
    if isinstance(node, ast.Name):
        return variables.get(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None


def text(context: Context) -> str:
    """The Jinja text that renders the rows, from the configuration or the model's own files.

    Empty if the model has none. Where it has several, all of them.
    """
    given = override(context)
    if given is not None:
        return given
    folder = base_model.resolve(context).folder
    own = folder / "chat_template.jinja"
    if own.is_file():
        return own.read_text(encoding="utf-8")
    try:
        found = storage.read_json((folder / "tokenizer_config.json").resolve())
    except DataError:
        return ""
    named = found.get("chat_template") if isinstance(found, dict) else None
    if isinstance(named, list):
        return "\n".join(str(entry.get("template", "")) for entry in named)
    return named if isinstance(named, str) else ""
