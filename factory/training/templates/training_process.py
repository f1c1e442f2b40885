"""The training process among others: how it ends, what signals do to it, which of several it is.

Copied to scripts/training_process.py beside train.py. Standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DONE, FAILED, BAD_DATA, NOT_FINITE, OUT_OF_MEMORY, DISK_FULL, OTHER_RUN, INTERRUPTED = (
    0, 1, 65, 70, 71, 74, 78, 130,
)  # fmt: skip
STOP_SECONDS = 8  # after a signal, how long the step in progress may still take
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
SPACE_LEFT = 1 << 20  # bytes; libraries that hide why a write failed are asked for this much
# How libraries word it, where the exception's type does not tell.
MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory")
SPACE_WORDS = (
    "no space left on device",
    "disk quota exceeded",
    "file write failed",  # torch's archive writer, which does not say why
    "unexpected pos",
)

PROCESSES = int(os.environ.get("WORLD_SIZE", "1"))  # torchrun and `accelerate launch` set it


class Stop(BaseException):
    """An expected end; `code` is the exit code. No Exception, so that no library swallows it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stopper:
    """SIGINT and SIGTERM: finish the step, save a checkpoint, stop. A second one ends at once."""

    def __init__(self) -> None:
        self.signal: str | None = None
        self.training = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._first)
        signal.signal(signal.SIGALRM, self._too_long)

    def _first(self, number: int, _frame: Any) -> None:
        self.signal = signal.Signals(number).name
        for other in (signal.SIGINT, signal.SIGTERM):
            signal.signal(other, signal.SIG_DFL)
        if not self.training:
            self.check()
        signal.alarm(STOP_SECONDS)

    def _too_long(self, _number: int, _frame: Any) -> None:
        raise Stop(INTERRUPTED, f"stopped by {self.signal} within a long step, which is lost")

    def check(self) -> None:
        """Stop if a signal came (a library may have swallowed what the handler raised)."""
        if self.signal:
            raise Stop(INTERRUPTED, f"stopped by {self.signal}")

    def asked(self, device: Any) -> bool:
        """Whether to stop after this step: of several processes all do, or one waits for ever."""
        if PROCESSES > 1:
            import torch

            flag = torch.tensor(int(self.signal is not None), device=device)
            torch.distributed.all_reduce(flag)
            if flag.item() and not self.signal:
                self.signal = "a signal to another process"
        return self.signal is not None


def wait_for_others() -> None:
    """Return when every process has come here."""
    if PROCESSES > 1:
        import torch

        torch.distributed.barrier()


def require_processes(wanted: int) -> None:
    """Stop unless as many processes were started as train.json says: they share the batch."""
    if wanted == PROCESSES:
        if PROCESSES > 1 and sys.platform == "linux":  # torchrun, killed, leaves workers behind
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        return
    start = f"torchrun --standalone --nproc-per-node {wanted}" if wanted > 1 else "python"
    raise Stop(
        FAILED,
        f"num_processes in train.json is {wanted}, {PROCESSES} were started: the effective batch "
        f"would differ; start it with: {start} {sys.argv[0]}",
    )


def exit_code(error: BaseException, kinds: dict[type, int]) -> int:
    """What an exception tells the parent process; `kinds`: the codes of the script's own errors."""
    if isinstance(error, Stop):
        return error.code
    for kind, code in {**kinds, MemoryError: OUT_OF_MEMORY}.items():
        if isinstance(error, kind):
            return code
    chain = list(causes(error))
    if any(word in text for text, _ in chain for word in MEMORY_WORDS):
        return OUT_OF_MEMORY
    if any(number in NO_SPACE for _, number in chain):
        return DISK_FULL
    if any(word in text for text, _ in chain for word in SPACE_WORDS) or not has_space(Path()):
        return DISK_FULL
    return FAILED


def causes(error: BaseException | None) -> Iterator[tuple[str, int | None]]:
    """(text in lower case, errno) of an exception and of those it came from."""
    while error is not None:
        yield str(error).lower(), getattr(error, "errno", None)
        error = error.__cause__ or error.__context__


def has_space(folder: Path) -> bool:
    """Whether a little more can be written here: some libraries hide that a disk is full."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= SPACE_LEFT


def explain(code: int, error: BaseException) -> str:
    """One line for a person."""
    text = str(error) or repr(error)
    if code == OUT_OF_MEMORY:
        return f"out of memory: {text}"
    if code == DISK_FULL:
        return f"no space is left on the disk ({text.splitlines()[0]})"
    return text


def tell_parent(code: int, text: str) -> None:
    """The first failure of several processes, which torchrun's own exit code does not tell."""
    if os.environ.get("FACTORY_EVENTS"):
        print("@factory " + json.dumps({"exit_code": code, "error": text}), flush=True)
