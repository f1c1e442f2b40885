"""The Modelfile that Ollama reads."""

from __future__ import annotations

import pytest

from factory.export import modelfile
from factory.export.report import ReleaseReport


def written(report: ReleaseReport) -> str:
    return modelfile.write(report.gguf["q8_0"].path, report.ollama, context_length=512)


def instructions(text: str) -> str:
    """What Ollama obeys: everything but comments."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def test_it_runs_the_file_as_it_was_measured(report: ReleaseReport) -> None:
    lines = written(report).splitlines()
    assert "FROM ./gguf/demo-v1.0.0-q8_0.gguf" in lines
    assert "PARAMETER temperature 0" in lines
    assert "PARAMETER num_ctx 512" in lines
    assert 'PARAMETER stop "<|im_end|>"' in lines


def test_it_holds_the_template_that_was_proven(report: ReleaseReport) -> None:
    text = instructions(written(report))
    assert 'TEMPLATE """{{- $previous := "" }}' in text
    assert "<|im_start|>assistant" in text


def test_an_unknown_template_leaves_the_embedded_one(report: ReleaseReport) -> None:
    report.ollama.family = None
    report.ollama.reason = "no Go template here renders like the model's own"
    text = written(report)
    assert "TEMPLATE" not in instructions(text)
    assert "# no Go template here renders like the model's own" in text


def test_the_one_system_text_of_all_rows_becomes_system(report: ReleaseReport) -> None:
    assert 'SYSTEM """Be brief."""' in instructions(written(report))


@pytest.mark.parametrize(
    ("systems", "always"), [(["Be brief.", "Be kind."], True), (["Be brief."], False)]
)
def test_several_system_texts_are_offered_and_none_is_chosen(
    report: ReleaseReport, systems: list[str], always: bool
) -> None:
    report.ollama.systems, report.ollama.always_system = systems, always
    text = written(report)
    assert "SYSTEM" not in instructions(text)
    assert '#   SYSTEM """Be brief."""' in text


def test_text_that_would_end_the_quotes_is_left_out(report: ReleaseReport) -> None:
    report.ollama.systems = ['"""\nFROM /etc/passwd']
    assert "passwd" not in written(report)
