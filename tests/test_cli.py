"""The command line as a process: exit codes, messages, start-up."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from factory import Workspace, schemas
from tests.conftest import factory

HEAVY = ("torch", "transformers", "pydantic", "datasets", "numpy", "rich")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    done = factory("init", str(tmp_path / "ws"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return tmp_path / "ws"


MISTAKES = {
    "no command": ([], 2, "required"),
    "unknown command": (["rum"], 2, "did you mean 'run'"),
    "unknown stage": (["run", "fine-tune"], 2, "did you mean 'finetune'"),
    "unknown option": (["run", "format", "--forse"], 2, "did you mean '--force'"),
    "no such workspace": (["-C", "nowhere", "run", "format"], 2, "no such folder"),
    "waiver without a reason": (["run", "format", "--waive", "format.x"], 2, "--reason"),
    "reason without a waiver": (["run", "format", "--reason", "x"], 2, "--waive"),
    "waiver for nothing": (
        ["run", "format", "--waive", "fromat.x", "--reason", "y"],
        2,
        "no gate check",
    ),
    "unknown setting": (["run", "format", "--set", "dataset.sed=1"], 2, "did you mean 'seed'"),
    "setting of a wrong type": (["run", "format", "--set", "lora.r=many"], 2, "lora.r"),
    "absent model": (
        ["run", "format", "--set", "model.name=models/bas"],
        2,
        "neither a folder here nor a Hugging Face model id",
    ),
    "model outside": (["run", "format", "--set", "model.name=/etc"], 2, "outside the workspace"),
    "data outside": (
        ["run", "format", "--set", "dataset.sources=../x"],
        2,
        "outside the workspace",
    ),
    "stage too early": (["run", "export"], 3, "needs format"),
    "check of nothing": (["check"], 3, ""),
    "unknown schema": (["schema", "gat"], 2, "did you mean 'gate'"),
    "workspace exists": (["init", "."], 2, "there is a workspace already"),
    "data to init is missing": (["init", "new", "--data", "gone.jsonl"], 2, "no such file"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gives_one_clear_message_and_its_exit_code(workspace: Path, mistake: str) -> None:
    arguments, code, message = MISTAKES[mistake]
    done = factory(*arguments, cwd=workspace)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") <= 1


def test_errors_are_json_on_demand(workspace: Path) -> None:
    done = factory("run", "export", "--json", cwd=workspace)
    answer = json.loads(done.stdout)
    assert answer["error"] == "GateClosed"
    assert answer["exit_code"] == done.returncode == 3
    assert answer["hint"] == "run: python -m factory run format"


def test_a_hint_names_the_workspace_that_was_named(workspace: Path) -> None:
    done = factory("-C", workspace.name, "run", "export", cwd=workspace.parent)
    command = done.stderr.partition("-> run: python -m factory ")[2].split()
    assert command == ["-C", workspace.name, "run", "format"]
    # The command as it was shown gets further: it asks for data now.
    assert "put raw examples there" in factory(*command, cwd=workspace.parent).stderr
    report = ran_doctor(workspace)
    fixes = [finding["fix"] for finding in report["findings"]]
    assert all(f"-C {workspace}" in fix for fix in fixes if "python -m factory " in fix)


def ran_doctor(workspace: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(
        factory("-C", str(workspace), "doctor", "--json", cwd=workspace.parent).stdout
    )
    return report


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["status"]])
def test_light_commands_import_nothing_heavy(workspace: Path, arguments: list[str]) -> None:
    code = (
        "import sys\nfrom factory.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=workspace,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.stderr.strip() == "[]", done.stderr


@pytest.mark.parametrize("name", schemas.names())
def test_schemas_are_valid_and_true_to_the_code(tmp_path: Path, name: str) -> None:
    import jsonschema

    from scripts import build_schemas

    done = factory("schema", name, cwd=tmp_path)
    published = json.loads(done.stdout)
    jsonschema.Draft202012Validator.check_schema(published)
    assert published == json.loads(json.dumps(build_schemas.schemas()[name])), (
        "run: python scripts/build_schemas.py"
    )


def test_status_of_a_fresh_workspace(workspace: Path) -> None:
    done = factory("status", "--json", cwd=workspace)
    stages = json.loads(done.stdout)["stages"]
    assert [stage["state"] for stage in stages] == ["not run"] * 5


def test_a_release_of_a_fresh_workspace_says_what_comes_first(workspace: Path) -> None:
    answer = json.loads(factory("release", "--dry-run", "--json", cwd=workspace).stdout)
    assert answer["first"].startswith("python -m factory run format")
    assert "run all" in factory("models", "list", cwd=workspace).stdout


def test_next_of_a_fresh_workspace(workspace: Path) -> None:
    action = json.loads(factory("next", "--json", cwd=workspace).stdout)
    assert action["stage"] == "format"
    assert action["needs_person"] is True or action["command"] == "python -m factory run format"


def test_init_makes_a_workspace_that_validates(workspace: Path) -> None:
    loaded = Workspace(workspace).config()
    assert loaded.project.name == "ws"
    assert (workspace / "models" / "base" / "model.safetensors").is_file()


def test_init_copies_data(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("{}\n")
    factory("init", "ws", "--data", "mine.jsonl", "--name", "My 'model' $(x)", cwd=tmp_path)
    assert (tmp_path / "ws" / "data" / "raw" / "mine.jsonl").read_text() == "{}\n"
    assert json.loads((tmp_path / "ws" / "training-config.json").read_text())["project"][
        "name"
    ] == ("My 'model' $(x)")
