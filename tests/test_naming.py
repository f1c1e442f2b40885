"""Names that the factory gives."""

from typing import Any

import pytest

from factory import config, layers, naming, presets
from factory.errors import ConfigError
from factory.naming import ReleaseNames


def names(project: dict[str, Any]) -> ReleaseNames:
    values = {
        "project": project,
        "model": {"name": "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B"},
        "save": {"gguf_quantization": ["q4_k_m", "q8_0", "f16"]},
    }
    return naming.of(config.validate(values))


@pytest.mark.parametrize(
    ("project", "folder"),
    [
        ({"name": "AJ"}, "AJ-v0.1.0"),
        (
            {"name": "AJ", "version": "2.0.0", "release_name": "{project}-{base}-v{version}"},
            "AJ-DeepSeek-R1-Distill-Qwen-32B-v2.0.0",
        ),
        ({"name": "../{version} $(x)", "release_name": "{project}-v{version}"}, "version-x-v0.1.0"),
        ({"name": "AJ", "release_name": "{suffix}_{project}.{version}"}, "AJ.0.1.0"),
        ({"name": "AJ", "base_name": "a b", "release_name": "{base}{version}"}, "a-b0.1.0"),
    ],
)
def test_a_release_is_named_by_its_template(project: dict[str, Any], folder: str) -> None:
    assert names(project).folder == folder


def test_without_a_suffix_the_folders_keep_their_plain_names() -> None:
    assert names({"name": "AJ"}).as_json() == {
        "lora": "adapter",
        "merged": "merged",
        "q4_k_m": "gguf/AJ-v0.1.0-q4_k_m.gguf",
        "q8_0": "gguf/AJ-v0.1.0-q8_0.gguf",
        "f16": "gguf/AJ-v0.1.0-f16.gguf",
    }


def test_the_aj_preset_names_its_artifacts_as_its_system_did() -> None:
    found = naming.of(layers.of_preset("aj-mixed-h200", presets.load()).config)
    assert found.folder == "AJ-DeepSeekR1Qwen32B-v2.0.0"
    assert found.as_json() == {
        "lora": "AJ-DeepSeekR1Qwen32B-v2.0.0-lora",
        "merged": "AJ-DeepSeekR1Qwen32B-v2.0.0-merged",
        "q4_k_m": "gguf/AJ-DeepSeekR1Qwen32B-v2.0.0-q4km.gguf",
        "q8_0": "gguf/AJ-DeepSeekR1Qwen32B-v2.0.0-q8.gguf",
    }


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{project}", "it needs {version}"),
        ("../{version}", "letters, digits"),
        ("{versio}-{version}", "did you mean 'version'"),
        ("{version}-{}", "no placeholder {}"),
        ("a b{version}", "letters, digits"),
        (".{version}", "letters, digits"),
        ("{{version}}", "letters, digits"),
    ],
)
def test_a_template_that_cannot_name_a_folder_is_refused(template: str, said: str) -> None:
    with pytest.raises(ConfigError, match="release_name") as raised:
        names({"release_name": template})
    assert said in str(raised.value)
