"""The Python API: `from factory import Workspace`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import factory
from factory import Workspace
from factory.errors import GateClosed


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "training-config.json").write_text(json.dumps({"project": {"name": "mine"}}))
    return Workspace(tmp_path)


def test_a_preset_lies_below_the_file(workspace: Workspace) -> None:
    config = workspace.config(preset="oracle-rauru-mac", overrides=["training.max_steps=3"])
    assert config.model.name == "Qwen/Qwen2.5-Coder-1.5B"
    assert config.project.name == "mine"
    assert config.training.max_steps == 3


def test_a_second_run_names_the_first_whose_lock_goes_with_it(workspace: Workspace) -> None:
    program = (
        "import sys, time; from factory import Workspace\n"
        "with Workspace(sys.argv[1]).lock(): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        second = [sys.executable, "-m", "factory", "-C", str(workspace.root), "run", "format"]
        refused = subprocess.run(second, capture_output=True, text=True)
        holder.kill()
    assert refused.returncode == 5
    assert f"process {holder.pid} is running" in refused.stderr
    with workspace.lock():
        pass


def test_a_changed_field_is_validated(workspace: Workspace) -> None:
    config = workspace.config()
    config.training.learning_rate = 1e-5
    with pytest.raises(ValidationError):
        config.training.learning_rate = -1


def test_run_is_gated_as_on_the_command_line(workspace: Workspace) -> None:
    config = workspace.config()
    config.model.name = str(Path(factory.__file__).parent.parent / "models" / "base")
    config.project.allowed_paths = [config.model.name]
    with pytest.raises(GateClosed, match="needs format"):
        workspace.run("finetune", config, quiet=True)


def test_importing_factory_imports_nothing_else() -> None:
    code = "import sys, factory; print('factory.workspace' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
