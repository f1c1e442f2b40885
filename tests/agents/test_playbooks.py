"""The playbooks: complete, and every command, path, field and check in them is real."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from factory import cli, layers, pipeline, schemas
from tests import markdown
from tests.agents.conftest import ORDER, Results, blocks
from tests.docs.test_documents import FIELD, PLACEHOLDER, is_path
from tests.markdown import ROOT, Block

SECTIONS = (
    "Purpose",
    "Inputs",
    "Outputs",
    "Before",
    "Commands",
    "Symptoms",
    "Verify",
    "Needs a person",
    "Done when",
)
STAGE_PLAYBOOKS = [ROOT / "agents" / f"{name}.md" for name in pipeline.NAMES]
FULL_FINETUNING = (
    "export.model"  # the walk trains an adapter: tests/pipeline/test_full_finetuning.py
)
CHECK = re.compile(rf"^(?:{'|'.join(pipeline.NAMES)})\.[\w.<>]+$")
playbooks = pytest.mark.parametrize("path", ORDER, ids=markdown.name)


def section(path: Path, heading: str) -> str:
    """The text below one `## heading`."""
    _, _, rest = path.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    return rest.partition("\n## ")[0]


def table(path: Path, heading: str) -> list[list[str]]:
    """The rows of the tables below one heading, without head and rule."""
    lines = [line for line in section(path, heading).splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    rules = [n for n, line in enumerate(lines) if set(line) <= set("|-")]
    heads = {n - 1 for n in rules} | set(rules)
    return [row for n, row in enumerate(rows) if n not in heads]


def test_there_is_one_playbook_a_stage() -> None:
    assert {path.stem for path in (ROOT / "agents").glob("*.md")} == {path.stem for path in ORDER}


@playbooks
def test_front_matter_names_and_describes(path: Path) -> None:
    _, head, _ = path.read_text(encoding="utf-8").split("---\n", 2)
    assert yaml.safe_load(head).keys() == {"name", "description"}


@playbooks
def test_every_section_is_there_and_filled(path: Path) -> None:
    assert [heading for heading in SECTIONS if not section(path, heading).strip()] == []


@playbooks
def test_every_symptom_has_a_cause_and_a_command(path: Path) -> None:
    incomplete = [
        row
        for row in table(path, "Symptoms")
        if len(row) != 3 or not all(row) or not re.fullmatch(r"`[^`]+`", row[2])
    ]
    assert not incomplete


@pytest.mark.parametrize("path", STAGE_PLAYBOOKS, ids=markdown.name)
def test_a_stage_playbook_runs_its_stage(path: Path) -> None:
    typed = [block.text for block in markdown.blocks(path) if block.kind.startswith("bash")]
    assert f"python -m factory run {path.stem}\n" in typed


def test_all_exit_codes_are_explained() -> None:
    text = section(ROOT / "agents" / "orchestrator.md", "Commands")
    explained = re.findall(r"^\| (\d+) \|", text, re.M)
    assert explained == re.findall(r"(\d+) [a-z]", cli.EPILOG)


def test_every_action_of_next_is_explained() -> None:
    text = section(ROOT / "agents" / "orchestrator.md", "Commands")
    assert set(re.findall(r"^\| `(run|mend|done)` \|", text, re.M)) == {"run", "mend", "done"}


def test_monitored_fields_are_in_the_status_schema() -> None:
    rows = table(ROOT / "agents" / "finetune.md", "Monitor")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert named - {"stale"} <= set(schemas.schema("training-status")["properties"])


def test_phases_are_those_of_the_status_schema() -> None:
    rows = table(ROOT / "agents" / "finetune.md", "Monitor")
    named = [re.findall(r"`(\w+)`", row[1]) for row in rows if row[0] == "`phase`"]
    assert [set(phases) for phases in named] == [set(phases_of(schemas.schema("training-status")))]


def phases_of(schema: dict[str, Any]) -> list[str]:
    found = schema["properties"]["phase"]
    if "$ref" in found:
        found = schema["$defs"][found["$ref"].rpartition("/")[2]]
    phases: list[str] = found["enum"]
    return phases


@pytest.mark.parametrize("block", blocks("bash"), ids=str)
def test_a_quick_command_works(block: Block, quick_walk: Results) -> None:
    done = quick_walk[str(block)]
    assert done.returncode == 0, f"{block.text}{done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("bash slow"), ids=str)
def test_a_command_works(block: Block, walked: tuple[Path, Results]) -> None:
    done = walked[1][str(block)]
    assert done.returncode == 0, f"{block.text}{done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.mark.slow
@playbooks
def test_every_path_is_there_after_the_walk(path: Path, walked: tuple[Path, Results]) -> None:
    spans = {span.rstrip("/") for span in markdown.code_spans(path) if is_path(span)}
    missing = [
        span
        for span in spans
        if not any(walked[0].glob(PLACEHOLDER.sub("*", span))) and not (ROOT / span).exists()
    ]
    assert not missing


@pytest.mark.slow
@playbooks
def test_every_field_is_in_its_file(path: Path, walked: tuple[Path, Results]) -> None:
    for span in markdown.code_spans(path):
        if found := FIELD.match(span):
            value: Any = json.loads((walked[0] / found[1]).read_text())
            for name in found[2].split("."):
                assert name in value, span
                value = value[name]


@pytest.mark.slow
@playbooks
def test_every_check_is_in_a_gate_file(path: Path, walked: tuple[Path, Results]) -> None:
    recorded = recorded_checks(walked[0])
    unknown = [
        span
        for span in markdown.code_spans(path)
        if CHECK.match(span) and not any(pattern(span).fullmatch(check) for check in recorded)
    ]
    assert not unknown


@pytest.mark.slow
def test_every_recorded_check_is_in_the_reference(walked: tuple[Path, Results]) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "gates.md").read_text(), re.M)
    models = ("export.merged", "export.gguf.<type>")
    documented = {row.replace("<model>", model) for row in rows for model in models}
    patterns = [pattern(name) for name in documented]
    missing = [
        check
        for check in recorded_checks(walked[0])
        if not any(found.fullmatch(check) for found in patterns)
    ]
    assert not missing


@pytest.mark.slow
def test_every_check_of_the_reference_is_recorded(walked: tuple[Path, Results]) -> None:
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "gates.md").read_text(), re.M)
    names = {row.replace("<model>", "export.merged") for row in rows}
    recorded = recorded_checks(walked[0])
    unknown = [name for name in names if not any(pattern(name).fullmatch(c) for c in recorded)]
    assert unknown == [FULL_FINETUNING]


def pattern(name: str) -> re.Pattern[str]:
    """A check's name with its placeholders as any word."""
    return re.compile(r"\w+".join(map(re.escape, PLACEHOLDER.split(name))))


def recorded_checks(folder: Path) -> set[str]:
    """The ids of all checks in the gate files."""
    gates = (folder / ".factory" / "gates").glob("*.json")
    return {check["id"] for gate in gates for check in json.loads(gate.read_text())["checks"]}


def presets_recommended() -> list[list[str]]:
    rows = table(ROOT / "agents" / "finetune.md", "Choose the base model")
    return [[cell.strip("`") for cell in row[1:]] for row in rows if len(row) == 6]


@pytest.mark.parametrize("row", presets_recommended(), ids=lambda row: row[0])
def test_recommended_settings_are_those_of_the_preset(row: list[str], tmp_path: Path) -> None:
    (tmp_path / "training-config.json").write_text("{}")
    settings = layers.load(tmp_path / "training-config.json", preset=row[0]).config
    training = settings.training
    assert row[1:] == [
        settings.model.name,
        str(training.per_device_train_batch_size),
        str(training.gradient_accumulation_steps),
        str(settings.lora.r),
    ]
    assert (settings.model.load_in_4bit, settings.model.max_seq_length) == (True, 2048)


def quoted_messages() -> list[tuple[str, str]]:
    """(playbook, message) for every message that a symptom quotes."""
    return [
        (path.stem, span)
        for path in ORDER
        for row in table(path, "Symptoms")
        for span in re.findall(r"`([^`]+)`", row[0])
        if " " in span
    ]


@pytest.mark.parametrize(("playbook", "message"), quoted_messages())
def test_a_quoted_message_is_one_of_the_factory(playbook: str, message: str) -> None:
    sources = " ".join(path.read_text(encoding="utf-8") for path in ROOT.glob("factory/**/*.py"))
    said = re.sub(r'"\s*\n\s*f?"', "", re.sub(r"\{[^{}]*\}", "...", sources))
    assert message in said
