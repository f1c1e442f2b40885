"""The child of `factory.template_probe`: a chat template renders short conversations, in limits.

It imports Jinja and no other part of the factory, because every stage waits for it.

    python -m factory.template_trial < TEMPLATE
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any

CPU_SECONDS, MEMORY_BYTES = 2, 1 << 30
MOST_CHARACTERS = 1_000_000  # for a conversation of a few words
TOO_LARGE, ESCAPE, BROKEN = 4, 5, 6  # exit codes
TOOL = {"name": "f", "description": "a", "parameters": {"type": "object", "properties": {}}}
TURNS = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
CONVERSATIONS: list[dict[str, Any]] = [
    {"messages": TURNS},
    {"messages": [{"role": "system", "content": "Be brief."}, *TURNS, *TURNS]},
    {"messages": TURNS[:1], "add_generation_prompt": True},
    {"messages": TURNS, "tools": [{"type": "function", "function": TOOL}]},
]


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
    """Render the template on standard input; the exit code says what it does."""
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
