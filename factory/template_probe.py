"""A chat template is a program from outside: it is tried in a child with limits before it is used.

transformers renders templates in Jinja's sandbox, which keeps them from files and attributes but
not from loops and memory. `require` renders short conversations in a child process that may take
2 seconds and 1 GiB. A template that is harmless there may still be slow on one row: what renders
rows runs in children, too, and can be stopped.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from functools import lru_cache
from typing import Any

from factory import base_model, chat_template, child, storage
from factory.context import Context
from factory.errors import ConfigError

CPU_SECONDS, MEMORY_BYTES, WALL_SECONDS = 2, 1 << 30, 60
MOST_CHARACTERS = 1_000_000  # for a conversation of a few words
TOO_LONG, TOO_LARGE, ESCAPE, BROKEN = 3, 4, 5, 6
FIELD = "dataset.chat_template"
TOOL = {"name": "f", "description": "a", "parameters": {"type": "object", "properties": {}}}
TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
CONVERSATIONS: list[dict[str, Any]] = [
    {"messages": TURNS},
    {"messages": [{"role": "system", "content": "Be brief."}, *TURNS, *TURNS]},
    {"messages": TURNS[:1], "add_generation_prompt": True},
    {"messages": TURNS, "tools": [{"type": "function", "function": TOOL}]},
]


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
            child.python("factory.template_probe"),
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


def _environment() -> Any:
    """Jinja as transformers sets it up (utils/chat_template_utils.py)."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}`: marks the assistant's tokens, writes its body."""

        tags = {"generation"}  # noqa: RUF012

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def refuse(message: str) -> None:
        raise TemplateError(message)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(
        value, allow_nan=False, **{"ensure_ascii": False, **options}
    )
    environment.globals.update(raise_exception=refuse, strftime_now=lambda form: form)
    return environment


def main() -> int:
    """In the child: render the template on standard input; the exit code says what it does."""
    from jinja2.exceptions import SecurityError, TemplateSyntaxError

    text = sys.stdin.buffer.read().decode("utf-8", "replace")
    environment = _environment()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for conversation in CONVERSATIONS:
        try:
            template = environment.from_string(text)
            size = sum(map(len, template.generate(**{"tools": None, **conversation})))
            if size > MOST_CHARACTERS:
                return TOO_LARGE
        except (MemoryError, OverflowError):
            return TOO_LARGE
        except SecurityError as error:
            print(error, file=sys.stderr)
            return ESCAPE
        except (TemplateSyntaxError, RecursionError) as error:
            print(str(error).splitlines()[0], file=sys.stderr)
            return BROKEN
        except Exception as error:  # e.g. no system turn allowed: the mask's proof says that better
            print(error, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
