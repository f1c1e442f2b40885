"""A workspace: a folder with a training-config.json, and every path of the contract in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from factory.errors import WorkspaceLocked

if TYPE_CHECKING:
    from factory.config import Config
    from factory.runner import Outcome

CONFIG_NAME = "training-config.json"


class Workspace:
    """Paths of one workspace. Nothing is read or written until a method is called."""

    def __init__(self, root: str | os.PathLike[str] = ".") -> None:
        self.root = Path(os.path.realpath(root))
        self.config_path = self.root / CONFIG_NAME
        self.state = self.root / ".factory"
        self.gates = self.state / "gates"
        self.status = self.state / "training-status.json"
        self.history = self.state / "training-history.jsonl"
        self.lock_path = self.state / "lock"
        self.hub = self.state / "hub"
        self.rejects = self.root / "data" / "rejects.jsonl"
        self.findings = self.root / "data" / "findings.jsonl"
        self.metrics = self.root / "metrics"
        self.dataset_report = self.metrics / "dataset.json"
        self.dataset_page = self.metrics / "dataset.html"
        self.baseline_report = self.metrics / "baseline.json"
        self.training_stats = self.metrics / "training-stats.json"
        self.training_page = self.metrics / "training.html"
        self.evaluation_report = self.metrics / "evaluation.json"
        self.predictions = self.metrics / "predictions"
        self.script = self.root / "scripts" / "train.py"
        self.script_config = self.root / "scripts" / "train.json"
        self.releases = self.root / "models" / "release"
        self.logs = self.root / "logs"

    def config(
        self,
        *,
        preset: str | None = None,
        overrides: Iterable[str] = (),
        fit: bool | None = None,
    ) -> Config:
        """The validated configuration, with a preset below and `key=value` overrides above it.

        Its fields may be changed; every change is validated. Raises ConfigError.
        """
        from factory import layers

        return layers.load(self.config_path, overrides, preset=preset, fit=fit).config

    def run(
        self, stage: str, config: Config | None = None, *, force: bool = False, quiet: bool = False
    ) -> list[Outcome]:
        """Run one stage, or "all", as `factory run` does; `config` defaults to `self.config()`.

        Raises GateClosed, StaleInput, WorkspaceLocked, and what a stage raises (factory.errors).
        """
        from factory import layers, pipeline, runner
        from factory.console import Console
        from factory.context import Context

        config = config or self.config()
        context = Context(
            workspace=self,
            config=config,
            console=Console(quiet=quiet),
            force=force,
            decisions=layers.decisions_of(config, self.root),
        )
        names = list(pipeline.NAMES) if stage == "all" else [stage]
        return runner.run(context, names, waivers=[])

    def relative(self, path: Path) -> str:
        """`path` as artifacts name it: relative to the root where it is inside."""
        return (
            path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
        )

    def gate_path(self, stage: str) -> Path:
        """Where the gate file of `stage` lives."""
        return self.gates / f"{stage}.json"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for one run; WorkspaceLocked names the pid that has it.

        The kernel drops the lock with its holder, so a killed run leaves nothing to clean up.
        """
        self.state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
                raise WorkspaceLocked(
                    f"process {holder} is running in this workspace",
                    where=str(self.lock_path),
                    hint="wait for it (python -m factory status), or stop it",
                ) from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield
        finally:
            os.close(descriptor)
