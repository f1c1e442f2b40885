"""Where curves go besides the status file: TensorBoard if it is installed, others if asked.

The trainer's own callbacks do the work. Each runs without a network if its own switch is set
(WANDB_MODE=offline; TensorBoard, MLflow and Trackio write to local files by default).
"""

from __future__ import annotations

from importlib.util import find_spec

from factory.artifacts import Decision
from factory.config import Config
from factory.errors import ConfigError

DEFAULT = "tensorboard"


def choose(config: Config) -> Decision:
    """The trackers of a run and why; `wandb.enabled` adds to what `tracking.report_to` names."""
    names: list[str] = [*(config.tracking.report_to or [])]
    if config.tracking.report_to is not None:
        reason = "tracking.report_to"
    elif find_spec(DEFAULT) is not None:
        names, reason = [DEFAULT], "it is installed: tensorboard --logdir logs/tensorboard"
    else:
        names, reason = [], f"{DEFAULT} is not installed (extra ui)"
    if config.wandb.enabled and "wandb" not in names:
        names, reason = [*names, "wandb"], f"{reason}; wandb.enabled"
    return Decision(value=names, reason=reason)


def require_installed(config: Config) -> None:
    """ConfigError for a tracker without its package: the trainer would say so minutes later."""
    for name in choose(config).value:
        if find_spec(name) is None:
            named = config.tracking.report_to or []
            field = "tracking.report_to" if name in named else "wandb.enabled"
            raise ConfigError(
                f"{name} is not installed",
                where=field,
                hint=f"pip install {name}, or take it out of {field}",
            )


def environment(config: Config) -> dict[str, str]:
    """How the trackers that read their project's name from the environment are told it."""
    project = config.wandb.project or config.project.name
    return {"WANDB_PROJECT": project, "MLFLOW_EXPERIMENT_NAME": project}
