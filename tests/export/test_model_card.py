"""The model card: what it must say besides the numbers, and what it must not let through."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from factory import layers, ledger
from factory.artifacts import Waiver, load
from factory.base_model import BaseModel
from factory.console import Console
from factory.context import Context
from factory.export import gate, model_card
from factory.export.report import ReleaseReport
from factory.workspace import Workspace

RELEASE = "models/release/mcp-tools-v0.1.0"


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        ("---\nlicense: apache-2.0\n---\n# A model", "apache-2.0"),
        ("---\nlicense: [mit]\n---\n", None),
        ("---\nlicense: {\n---\n", None),
        ("---\n- a list\n---\n", None),
        ("# No front matter\nlicense: mit\n", None),
        (None, None),
    ],
)
def test_the_licence_is_the_one_the_base_models_card_states(
    tmp_path: Path, card: str | None, expected: str | None
) -> None:
    if card is not None:
        (tmp_path / "README.md").write_text(card)
    assert model_card.base_license(BaseModel("a/b", None, tmp_path)) == expected


@pytest.fixture
def context(demo: Path) -> Context:
    workspace = Workspace(demo)
    return Context(workspace, layers.load(workspace.config_path).config, Console(quiet=True))


@pytest.fixture
def verified(demo: Path) -> ReleaseReport:
    return load(ReleaseReport, demo / RELEASE / "verification.json")


def card_of(context: Context, report: ReleaseReport) -> str:
    return model_card.write(context, report, gate.judge_release(report, context.config))


def front_matter(card: str) -> dict[str, object]:
    values: dict[str, object] = yaml.safe_load(card.split("---\n")[1])
    return values


@pytest.mark.slow
def test_a_waiver_stays_in_bold(context: Context, verified: ReleaseReport) -> None:
    evaluate = ledger.read_gate(context.workspace, "evaluate")
    assert evaluate is not None
    waiver = Waiver(
        check="evaluate.improvement", reason="a demo, | nothing more", by="someone", at="today"
    )
    evaluate.waivers.append(waiver)
    ledger.write_gate(context.workspace, evaluate)
    card = card_of(context, verified)
    [line] = [line for line in card.splitlines() if "Waived" in line]
    assert line.startswith("> **Waived by a person: `evaluate.improvement`")
    assert line.endswith("a demo, \\| nothing more**")
    assert "someone" not in card, "a card names checks and reasons, no people"


@pytest.mark.slow
def test_a_closed_check_is_in_bold_on_top(context: Context, verified: ReleaseReport) -> None:
    verified.gguf["q8_0"].parity.top_token_agreement = 0.5
    card = card_of(context, verified)
    assert (
        "> **NOT VERIFIED: `export.gguf.q8_0.agreement` is closed:" in card.split("## Results")[0]
    )


@pytest.mark.slow
def test_text_from_outside_stays_text(context: Context, verified: ReleaseReport) -> None:
    context.config.project.description = "<script>alert(1)</script>\n# Not a heading"
    card = card_of(context, verified)
    assert "<script>" not in card
    assert "\n# Not a heading" not in card


@pytest.mark.slow
def test_front_matter_for_a_base_model_without_a_licence(
    context: Context, verified: ReleaseReport
) -> None:
    values = front_matter(card_of(context, verified))
    assert values["license"] in ("other", "apache-2.0")
    assert values["pipeline_tag"] == "text-generation"
    assert "base_model" not in values, "a folder of this workspace means nothing on the hub"
