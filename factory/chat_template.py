"""`dataset.chat_template`: the model's own template, or a Jinja file of the workspace."""

from __future__ import annotations

from factory.context import Context
from factory.errors import ConfigError, DataError
from factory.storage import open_regular

JINJA_SUFFIXES = (".jinja", ".jinja2", ".j2")


def override(context: Context) -> str | None:
    """The Jinja text that replaces the model's own template; None keeps that.

    Raises ConfigError if the configured value is no template file.
    """
    name = context.config.dataset.chat_template
    if name is None:
        return None
    if not name.endswith(JINJA_SUFFIXES):
        raise ConfigError(
            f"{name!r} is not a template file",
            where="dataset.chat_template",
            hint="give a .jinja file of the workspace, or null for the model's own template",
        )
    path = context.resolve(name, field="dataset.chat_template")
    try:
        with open_regular(path) as file:
            return file.read().decode("utf-8")
    except (DataError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {error}", where="dataset.chat_template") from None
