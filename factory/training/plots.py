"""The curves of a training as a picture: loss, learning rate, gradient norm."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from factory import storage

PANELS = (
    (("loss", "eval_loss"), "loss"),
    (("learning_rate",), "learning rate"),
    (("grad_norm",), "gradient norm"),
)
NAMES = {"loss": "training", "eval_loss": "validation"}


def available() -> bool:
    """Whether the `ui` extra, which has matplotlib, is installed."""
    return find_spec("matplotlib") is not None


def draw(stats: dict[str, Any], target: Path) -> None:
    """Write the PNG of a training's curve; the same curve gives the same file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(PANELS), 1, sharex=True)
    for axes, (keys, label) in zip(panels, PANELS, strict=True):
        for key in keys:
            points = [(point["step"], point[key]) for point in stats["curve"] if key in point]
            if points:
                marker = "o" if len(points) < 20 else ""
                axes.plot(*zip(*points, strict=True), marker=marker, label=NAMES.get(key))
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    panels[0].legend(*panels[0].get_legend_handles_labels())
    panels[-1].set_xlabel("step")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=110, metadata={"Software": None})
    with storage.atomic_write(target) as file:
        file.write(image.getvalue())
