"""Names that the pipeline gives."""

from pathlib import Path
from typing import Any

import pytest

from factory import Workspace, config, pipeline
from factory.console import Console
from factory.context import Context
from factory.errors import ConfigError


def release(project: dict[str, Any]) -> str:
    values = {"project": project, "model": {"name": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"}}
    return pipeline.release_folder(
        Context(Workspace(Path("/tmp/ws")), config.validate(values), Console(quiet=True))
    ).name


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ({"name": "AJ"}, "AJ-v0.1.0"),
        (
            {"name": "AJ", "version": "2.0.0", "release_name": "{project}-{base}-v{version}"},
            "AJ-DeepSeek-R1-Distill-Qwen-32B-v2.0.0",
        ),
        ({"name": "../{version} $(x)", "release_name": "{project}-v{version}"}, "version-x-v0.1.0"),
    ],
)
def test_a_release_is_named_by_its_template(project: dict[str, Any], name: str) -> None:
    assert release(project) == name


@pytest.mark.parametrize(
    "template", ["{project}", "../{version}", "{versio}-{version}", "a b{version}", ".{version}"]
)
def test_a_template_that_cannot_name_a_folder_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="release_name"):
        release({"release_name": template})


def test_every_stage_is_found_by_name_and_a_typo_is_helped() -> None:
    assert [pipeline.find(name).name for name in pipeline.NAMES] == list(pipeline.NAMES)
    with pytest.raises(ConfigError, match="did you mean 'finetune'"):
        pipeline.find("finetun")
