"""The picture of a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory.training import plots

STATS = {
    "curve": [
        {"step": 1, "loss": 2.0, "grad_norm": 1.0, "learning_rate": 1e-3},
        {"step": 2, "loss": 1.0, "grad_norm": 0.5, "learning_rate": 0.0},
        {"step": 2, "eval_loss": 1.5},
    ]
}


@pytest.mark.skipif(not plots.available(), reason="the ui extra is not installed")
def test_the_same_curve_gives_the_same_picture(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        plots.draw(STATS, tmp_path / name)
    picture = (tmp_path / "a.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert picture == (tmp_path / "b.png").read_bytes()


@pytest.mark.skipif(not plots.available(), reason="the ui extra is not installed")
def test_a_curve_without_evaluation_can_be_drawn(tmp_path: Path) -> None:
    plots.draw({"curve": STATS["curve"][:1]}, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()
