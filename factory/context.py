"""What every stage is given: the workspace, the validated configuration, the console."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from factory import storage
from factory.artifacts import Decision, FileRecord
from factory.config import Config
from factory.console import Console
from factory.workspace import Workspace


@dataclass(frozen=True)
class Context:
    """The surroundings of one run. `force`: redo the work, take over nothing half-done.

    `decisions` were made before any stage ran (the preset, what `--fit` lowered); gate files
    keep them beside the stage's own. `written`: files that a stage hashed while it wrote them.
    """

    workspace: Workspace
    config: Config
    console: Console
    force: bool = False
    decisions: dict[str, Decision] = field(default_factory=dict)
    written: dict[Path, FileRecord] = field(default_factory=dict)

    def path(self, field: str) -> Path:
        """The configured path `section.key`, resolved and proven to be inside the workspace."""
        section, _, key = field.partition(".")
        return self.resolve(getattr(getattr(self.config, section), key), field=field)

    def resolve(self, value: str, *, field: str) -> Path:
        """Resolve one configured path; ConfigError when it leads outside what is allowed."""
        root = self.workspace.root
        allowed = tuple(root / folder for folder in self.config.project.allowed_paths)
        return storage.inside(root, value, field=field, allowed=allowed)
