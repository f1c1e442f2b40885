"""`llama-quantize`: answers at once, writes all or nothing, and refuses what it cannot do."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from factory.kit import Kit


def llama_quantize(kit: Kit, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [kit.quantizer, *arguments],
        env={**os.environ, **kit.environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_help_is_quick_and_says_usage(kit: Kit) -> None:
    started = time.monotonic()
    done = llama_quantize(kit, "--help")
    assert done.returncode == 0
    assert "usage: llama-quantize" in done.stdout
    assert time.monotonic() - started < 5


def test_it_runs_from_a_link_and_with_the_python_on_the_path(kit: Kit, tmp_path: Path) -> None:
    link = tmp_path / "llama-quantize"
    link.symlink_to(kit.quantizer)
    done = subprocess.run([link, "--help"], capture_output=True, text=True)
    assert "usage: llama-quantize" in done.stdout


@pytest.mark.slow
def test_f16_to_q8_0_loads_and_answers(kit: Kit, f16: Path, tmp_path: Path) -> None:
    from llama_cpp import Llama

    target = tmp_path / "tiny q8.gguf"
    done = llama_quantize(kit, f16, target, "q8_0", "64")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["tiny q8.gguf"]
    assert target.stat().st_size < f16.stat().st_size
    model = Llama(str(target), n_ctx=64, n_threads=1, verbose=False)
    answer = model.create_completion("read", max_tokens=4, temperature=0)
    assert answer["usage"]["completion_tokens"] > 0
    model.close()


@pytest.mark.slow
def test_what_fails_leaves_the_old_file_and_no_other(kit: Kit, f16: Path, tmp_path: Path) -> None:
    q8, target = tmp_path / "q8.gguf", tmp_path / "q4.gguf"
    assert llama_quantize(kit, f16, q8, "Q8_0").returncode == 0
    target.write_bytes(b"from before")
    done = llama_quantize(kit, q8, target, "Q4_K_M")
    assert done.returncode == 1
    assert "requantizing" in done.stderr
    assert "could not quantize it" in done.stderr
    assert target.read_bytes() == b"from before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q4.gguf", "q8.gguf"]


def test_wrong_input_is_refused(kit: Kit, tmp_path: Path) -> None:
    text, gguf = tmp_path / "text.gguf", tmp_path / "magic.gguf"
    text.write_text("hello")
    gguf.write_bytes(b"GGUF" + bytes(16))
    cases = [
        ([tmp_path / "none.gguf", tmp_path / "o", "Q8_0"], 1, "no such file"),
        ([text, tmp_path / "o", "Q8_0"], 1, "not a GGUF file"),
        ([gguf, tmp_path / "o", "Q8_0"], 1, "could not quantize it"),
        ([gguf, tmp_path / "o", "Q8"], 1, "unknown type 'Q8'; there are BF16, "),
        ([gguf, gguf, "Q8_0"], 1, "input and output are the same file"),
        ([gguf, tmp_path / "no" / "o", "Q8_0"], 1, "no such folder"),
        ([gguf, tmp_path / "o"], 2, "usage"),
        ([gguf, tmp_path / "o", "Q8_0", "many"], 2, "invalid int value"),
        (["--imatrix", "x", gguf, tmp_path / "o", "Q8_0"], 2, "usage"),
    ]
    for arguments, code, says in cases:
        done = llama_quantize(kit, *arguments)
        assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert not (tmp_path / "o").exists()
