"""Which trackers a run reports to, and what is said where a package is missing."""

from __future__ import annotations

import json
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from factory import config as configuration
from factory.errors import ConfigError
from factory.training import trackers


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The tracker packages that this machine seems to have."""
    names: set[str] = set()

    def find(name: str) -> ModuleSpec | None:
        return ModuleSpec(name, None) if name in names else None

    monkeypatch.setattr(trackers, "find_spec", find)
    return names


def test_tensorboard_is_the_default_where_it_is_installed(installed: set[str]) -> None:
    assert trackers.choose(configuration.validate({})).value == []
    installed.add("tensorboard")
    chosen = trackers.choose(configuration.validate({}))
    assert chosen.value == ["tensorboard"]
    assert "tensorboard --logdir logs/tensorboard" in chosen.reason


def test_an_empty_list_means_none(installed: set[str]) -> None:
    installed.add("tensorboard")
    assert trackers.choose(configuration.validate({"tracking": {"report_to": []}})).value == []


@pytest.mark.parametrize(
    ("sections", "field", "name"),
    [
        ({"tracking": {"report_to": ["mlflow"]}}, "tracking.report_to", "mlflow"),
        ({"tracking": {"report_to": ["trackio"]}}, "tracking.report_to", "trackio"),
        ({"tracking": {"report_to": ["tensorboard"]}}, "tracking.report_to", "tensorboard"),
        ({"wandb": {"enabled": True}}, "wandb.enabled", "wandb"),
    ],
)
def test_a_missing_package_is_named_with_its_field(
    installed: set[str], sections: dict[str, Any], field: str, name: str
) -> None:
    config = configuration.validate(sections)
    with pytest.raises(ConfigError, match=f"{name} is not installed") as raised:
        trackers.require_installed(config)
    assert raised.value.where == field
    installed.add(name)
    trackers.require_installed(config)


@pytest.mark.slow
def test_tensorboard_has_the_curve(trained: Path) -> None:
    pytest.importorskip("tensorboard", reason="the ui extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = (trained / "logs/tensorboard").iterdir()
    events = EventAccumulator(str(folder)).Reload()
    stats = json.loads((trained / "metrics/training-stats.json").read_text())
    losses = {point["step"]: point["loss"] for point in stats["curve"] if "loss" in point}
    seen = {event.step: event.value for event in events.Scalars("train/loss")}
    assert seen == pytest.approx(losses, rel=1e-6)


def test_the_project_has_the_name_of_the_project() -> None:
    config = configuration.validate({"project": {"name": "mine"}})
    assert set(trackers.environment(config).values()) == {"mine"}
