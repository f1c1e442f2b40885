"""The trial of the compiled llama.cpp: it passes where that computes, and names what does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from factory import doctor
from factory.kit import trial
from factory.workspace import Workspace


@pytest.mark.parametrize("name", trial.TYPES)
def test_a_batch_and_its_tokens_have_the_same_logits(tmp_path: Path, name: str) -> None:
    trial.write_model(tmp_path / "model.gguf", name)
    assert trial.difference(tmp_path / "model.gguf") <= 1e-5


def test_the_installed_library_computes() -> None:
    assert trial.problems() == []


def library(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Put a `llama_cpp` in front of the installed one, for children."""
    (folder / "llama_cpp.py").write_text(body)
    monkeypatch.setenv("PYTHONPATH", str(folder))


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "-11.*at F32 weights"),
        ("raise ImportError('libgomp.so.1: cannot open')", "1.*libgomp.so.1: cannot open"),
    ],
)
def test_a_library_that_does_not_work_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, says: str
) -> None:
    library(tmp_path, monkeypatch, body)
    (problem,) = trial.problems()
    assert re.search(says, problem)


def test_a_library_that_computes_something_else_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its logits depend on how many tokens come at once."""
    library(
        tmp_path,
        monkeypatch,
        """
import ctypes
class Llama:
    ctx = None
    def __init__(self, **options): pass
    def eval(self, tokens): Llama.ctx = (ctypes.c_float * 96)(*[len(tokens)] * 96)
    def reset(self): pass
    def close(self): pass
def llama_get_logits_ith(ctx, place): return ctx
""",
    )
    (problem,) = trial.problems()
    assert "with F32 weights a batch differs by 39" in problem


def test_doctor_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library(tmp_path, monkeypatch, "raise ImportError('not for this processor')")
    findings = {finding.check: finding for finding in doctor.examine(Workspace(tmp_path)).findings}
    assert findings["kit"].status == "FAIL"
    assert "not for this processor" in findings["kit"].found
