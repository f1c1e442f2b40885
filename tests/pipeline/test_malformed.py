"""Malformed input: one clear message and the right exit code, as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import factory, make_workspace

ROW = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}


def raw(content: bytes, name: str = "rows.jsonl") -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "data" / "raw" / name).write_bytes(content)

    return prepare


def setting(section: str, **fields: object) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        raw(json.dumps(ROW).encode())(folder)
        path = folder / "training-config.json"
        values = json.loads(path.read_text())
        values.setdefault(section, {}).update(fields)
        path.write_text(json.dumps(values))

    return prepare


def config_text(text: str) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        (folder / "training-config.json").write_text(text)

    return prepare


CASES: dict[str, tuple[Callable[[Path], None], int, str]] = {
    "no raw file": (lambda folder: None, 1, "data/raw"),
    "empty file": (raw(b""), 1, "no rows at all"),
    "not JSON": (raw(b"hello\nworld\n"), 3, "format."),
    "an array that never ends": (raw(b'[{"a": 1},', "rows.json"), 1, "does not end"),
    "wrong encoding": (raw("é".encode("utf-16")), 3, "format."),
    "binary": (raw(bytes(range(256)) * 10), 3, "format."),
    "missing roles": (raw(b'{"messages": [{"content": "hi"}]}\n'), 3, "format."),
    "no assistant": (
        raw(b'{"messages": [{"role": "user", "content": "hi"}]}\n'),
        3,
        "format.",
    ),
    "too few rows": (raw(json.dumps(ROW).encode()), 3, "format.min_samples"),
    "no such source": (setting("dataset", sources=["data/rw"]), 1, "data/rw"),
    "a kind of file that is not read": (setting("dataset", sources=["models/base"]), 3, "format."),
    "config typo": (setting("training", learning_rat=1), 2, "did you mean 'learning_rate'"),
    "config section typo": (setting("trianing", a=1), 2, "did you mean 'training'"),
    "config of a wrong type": (setting("training", max_steps="many"), 2, "training.max_steps"),
    "config is not JSON": (config_text("{'a': 1}"), 2, "not valid JSON"),
    "config is a list": (config_text("[]"), 2, "object"),
    "absent model": (setting("model", name="models/none"), 2, "model.name"),
    "absent template": (
        setting("dataset", chat_template="nothing.jinja"),
        2,
        "nothing.jinja",
    ),
    "model is no model": (setting("model", name="data/raw"), 2, "config.json"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_message_and_the_right_exit_code(tmp_path: Path, case: str) -> None:
    prepare, code, message = CASES[case]
    folder = make_workspace(tmp_path / "ws", {}, demo=False)
    prepare(folder)
    done = factory("run", "format", cwd=folder)
    assert done.returncode == code, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert not (folder / "data" / "splits" / "train.jsonl.tmp").exists()
