"""Names and paths that try to be code: nothing runs, nothing breaks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import factory, make_workspace, ran

pytestmark = pytest.mark.slow

SHORT = {
    "training": {"max_steps": 2, "save_steps": 2, "logging_steps": 1},
    "evaluation": {"max_samples": 20, "max_new_tokens": 4},
}
NAMES = (
    'it\'s a "model" $(touch canary) `touch canary`; touch canary\n# é 漢',
    "__import__('os').system('touch canary') {{ ''.__class__ }} %s {0} ${HOME} ../../escape",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_pipeline_under_a_hostile_name(tmp_path: Path, name: str) -> None:
    folder = tmp_path / '-a folder\'s "name" $(touch canary) é 漢'
    make_workspace(folder, {**SHORT, "project": {"name": name, "description": name}})
    raw = folder / "data" / "raw"
    (raw / "mesen2.jsonl").rename(raw / "it's $(touch canary); é\n.jsonl")
    (folder / "models" / "base").rename(folder / "models" / "ba'se $(touch canary)")
    path = folder / "training-config.json"
    values = json.loads(path.read_text())
    values["model"]["name"] = "models/ba'se $(touch canary)"
    path.write_text(json.dumps(values))
    for stage in ("format", "baseline", "finetune", "evaluate"):
        factory("run", stage, cwd=folder)
    # Two training steps prove no improvement: a person's word opens the way to export.
    waived = ("--waive", "evaluate.improvement", "--reason", "a test; `touch canary`")
    ran("run", "export", *waived, cwd=folder)
    assert list(tmp_path.rglob("canary*")) == []
    release = next((folder / "models" / "release").iterdir())
    assert (release / "SHA256SUMS").is_file()
    # The card quotes the reason as text; backticks in it would end its Markdown.
    assert "a test; 'touch canary'" in (release / "README.md").read_text()
