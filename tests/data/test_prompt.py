"""The text around an Alpaca row."""

import pytest

from factory.data import prompt

TEMPLATE = """Below is a task{context}. Answer.

### Instruction:
{instruction}
{input_section}
### Response:
{output}"""


def test_the_users_turn_is_what_stands_before_the_output() -> None:
    assert prompt.render(TEMPLATE, "Add.", "") == (
        "Below is a task. Answer.\n\n### Instruction:\nAdd.\n\n### Response:"
    )
    with_input = prompt.render(TEMPLATE, "Add.", "1 and 2")
    assert ", paired with an input" in with_input
    assert "### Input:\n1 and 2\n" in with_input


def test_braces_in_a_row_stay_as_they_are() -> None:
    assert "{output} {instruction}" in prompt.render(TEMPLATE, "{output} {instruction}", "")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{instruction} {ouput}", "unknown {ouput}"),
        ("{input}{output}", "needs {instruction}"),
        ("{instruction}{output} bye", "ends with {output}"),
        ("{output}{instruction}{output}", "ends with {output}"),
    ],
)
def test_a_template_that_cannot_work_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        prompt.checked(template)


def test_a_good_template_and_none_pass() -> None:
    assert prompt.checked(TEMPLATE) == TEMPLATE
    assert prompt.checked("") == ""
