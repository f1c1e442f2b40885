"""The text around an Alpaca row: `dataset.prompt_template`.

    Below is an instruction{context}. Write a response.

    ### Instruction:
    {instruction}
    {input_section}
    ### Response:
    {output}

What stands before `{output}` is the user's turn; the row's output is the assistant's.
"""

from __future__ import annotations

import re

NAMES = ("context", "instruction", "input", "input_section", "output")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_END = "{output}"


def checked(template: str) -> str:
    """Return `template`; ValueError when a placeholder is unknown, missing or out of place."""
    if not template:
        return template
    names = _PLACEHOLDER.findall(template)
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise ValueError(f"unknown {{{unknown[0]}}}: one of {', '.join(NAMES)}")
    if "instruction" not in names:
        raise ValueError("it needs {instruction}")
    if names.count("output") != 1 or not template.rstrip().endswith(_END):
        raise ValueError("it ends with {output}: what the assistant says comes last")
    return template


def render(template: str, instruction: str, given: str) -> str:
    """The user's turn. Braces inside a row's own text stay as they are."""
    values = {
        "instruction": instruction,
        "input": given,
        "input_section": f"\n### Input:\n{given}\n" if given else "",
        "context": ", paired with an input that gives further context" if given else "",
    }
    before = template.rstrip().removesuffix(_END).rstrip()
    return _PLACEHOLDER.sub(lambda found: values[found[1]], before)
