"""The figures of base models: published ones, and those of a folder."""

import json
from pathlib import Path

import pytest

from factory import architecture, tensors
from factory.errors import ConfigError
from tests.conftest import ROOT


@pytest.mark.parametrize("name", architecture.published())
def test_figures_add_up_to_the_published_parameters(name: str) -> None:
    found = architecture.published()[name]
    assert found.published_parameters is not None
    assert found.parameters == pytest.approx(found.published_parameters, rel=0.002)


def test_a_local_folder_has_its_own_figures() -> None:
    found = architecture.of_model("models/base", root=ROOT)
    assert found is not None
    held = tensors.parameters(ROOT / "models" / "base")
    assert found.parameters == pytest.approx(held, rel=0.002)


def test_a_model_that_sees_keeps_its_figures_one_level_down(tmp_path: Path) -> None:
    text = {
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "intermediate_size": 16,
        "num_attention_heads": 2,
        "vocab_size": 10,
    }
    (tmp_path / "config.json").write_text(json.dumps({"text_config": text}))
    found = architecture.of_folder(tmp_path)
    assert (found.head_dim, found.num_key_value_heads) == (4, 2)


def test_an_unknown_model_has_none_and_an_odd_one_says_what_is_missing(tmp_path: Path) -> None:
    assert architecture.of_model("nobody/nothing", root=tmp_path) is None
    (tmp_path / "config.json").write_text('{"num_attention_heads": 2}')
    with pytest.raises(ConfigError, match="no hidden_size"):
        architecture.of_folder(tmp_path)
