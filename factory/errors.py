"""Every error the factory raises on purpose, in one tree.

    FactoryError                     1   something failed
    |-- ConfigError (ValueError)     2   the command or the configuration is wrong
    |-- DataError (ValueError)       1   input rows or files cannot be used
    |-- TrainingError                1   the training process failed
    |   `-- OutOfMemory
    |-- DiskFull                     1   no space is left; what was written before is whole
    |-- GateClosed                   3   a stage's result is missing or not good enough
    |-- StaleInput                   4   an artifact changed since its stage wrote it
    |-- WorkspaceLocked              5   another run holds the workspace
    `-- Interrupted                130   stopped by a signal; the state on disk is resumable

Each class carries the process exit code of the contract. An error says what was wrong
(`message`), where (`where`: file, line, field) and what to do next (`hint`).
"""

from __future__ import annotations

import errno
from collections.abc import Iterable


class FactoryError(Exception):
    """Base of all expected failures; printed without a traceback."""

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  -> {self.hint}" if self.hint else ""
        return f"{place}{self.message}{advice}"

    def as_json(self) -> dict[str, object]:
        """The error as `--json` prints it."""
        return {
            "error": type(self).__name__,
            "message": self.message,
            "where": self.where,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class ConfigError(FactoryError, ValueError):
    """A wrong command line, configuration file or value."""

    exit_code = 2


class DataError(FactoryError, ValueError):
    """Input files or rows that cannot be used."""


class TrainingError(FactoryError):
    """The training process ended without a usable result."""


class OutOfMemory(TrainingError):
    """The training process ran out of memory."""


class DiskFull(FactoryError):
    """No space is left; nothing that was written before is lost."""

    def __init__(self, where: object, message: str = "no space is left on the disk") -> None:
        super().__init__(
            message,
            where=str(where),
            hint="make room: models/checkpoints/trainer.superseded, old folders in models/release, "
            "logs; then run the same command again, it goes on from what is whole",
        )


class GateClosed(FactoryError):
    """A gate is closed: the artifact behind it is missing or below its threshold."""

    exit_code = 3


class StaleInput(FactoryError):
    """An artifact no longer matches the hash its stage recorded."""

    exit_code = 4


class WorkspaceLocked(FactoryError):
    """Another process is running in this workspace."""

    exit_code = 5


class Interrupted(FactoryError):
    """Stopped by a signal; rerun the same command to go on."""

    exit_code = 130


def means_disk_full(error: OSError) -> bool:
    """Whether the disk, or what a user may put on it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest choice, or an empty string."""
    import difflib  # only an error needs it

    nearest = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.6)
    return f"; did you mean '{nearest[0]}'?" if nearest else ""
