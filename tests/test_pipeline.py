"""The table of stages."""

import pytest

from factory import pipeline
from factory.errors import ConfigError


def test_every_stage_is_found_by_name_and_a_typo_is_helped() -> None:
    assert [pipeline.find(name).name for name in pipeline.NAMES] == list(pipeline.NAMES)
    with pytest.raises(ConfigError, match="did you mean 'finetune'"):
        pipeline.find("finetun")
