"""A chat template is a program from outside: it is tried in a child with limits before it is used.

transformers renders templates in Jinja's sandbox, which keeps them from files and attributes but
not from loops and memory. `require` has `factory.template_trial` render short conversations in a
child process. A template that is harmless there may still be slow on one row: what renders rows
runs in children, too, and can be stopped.
"""

from __future__ import annotations

import signal
import subprocess
from functools import lru_cache

from factory import base_model, chat_template, child, storage
from factory.context import Context
from factory.errors import ConfigError
from factory.template_trial import BROKEN, CPU_SECONDS, ESCAPE, TOO_LARGE

WALL_SECONDS = 60
TOO_LONG = 3  # besides the exit codes of the child
FIELD = "dataset.chat_template"


def require(context: Context) -> None:
    """Raise ConfigError for a template that is no Jinja, reaches for Python, or does not end."""
    override = chat_template.override(context)
    if override is not None:
        _require_harmless(override, FIELD)
        return
    for name, text in own_templates(context).items():
        _require_harmless(text, name)


def own_templates(context: Context) -> dict[str, str]:
    """The model's chat templates, by the file they are in."""
    found: dict[str, str] = {}
    for name, path in base_model.resolve(context).files().items():
        if name.endswith(".jinja"):
            found[name] = path.read_text(encoding="utf-8")
        elif name.endswith(("tokenizer_config.json", "chat_template.json")):
            given = storage.read_json(path).get("chat_template")
            texts = [item["template"] for item in given] if isinstance(given, list) else [given]
            found |= {f"{name}#{place}": text for place, text in enumerate(texts) if text}
    return found


@lru_cache(maxsize=16)
def _require_harmless(text: str, where: str) -> None:
    try:
        answer = subprocess.run(
            child.python("factory.template_trial"),
            input=text.encode("utf-8", "surrogatepass"),
            capture_output=True,
            timeout=WALL_SECONDS,
            preexec_fn=child.die_with_parent,
        )
        code = answer.returncode
    except subprocess.TimeoutExpired:
        code = TOO_LONG
    if code == 0:
        return
    said = "" if code == TOO_LONG else answer.stderr.decode("utf-8", "replace").strip()[-300:]
    reasons = {
        -signal.SIGXCPU: f"takes over {CPU_SECONDS} s for a conversation of a few words",
        TOO_LONG: f"takes over {WALL_SECONDS} s for a conversation of a few words",
        TOO_LARGE: "takes over 1 GiB, or writes a megabyte, for a conversation of a few words",
        ESCAPE: f"reaches for what a template may not have: {said}",
        BROKEN: f"is not a Jinja template: {said}",
    }
    reasons[-signal.SIGKILL] = reasons[-signal.SIGXCPU]
    raise ConfigError(
        f"the chat template {reasons.get(code, f'cannot be tried (exit code {code}): {said}')}",
        where=where,
        hint="use another template: dataset.chat_template",
    )
