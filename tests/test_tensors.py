"""Reading safetensors without torch."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory import tensors
from factory.errors import DataError


def save(folder: Path, **values: object) -> Path:
    from safetensors.torch import save_file

    path = folder / "model.safetensors"
    save_file(values, path)
    return path


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("bad", ["nan", "inf", "-inf"])
def test_one_bad_number_is_found(tmp_path: Path, dtype: str, bad: str) -> None:
    import torch

    good = torch.linspace(-3e4, 3e4, 1000).to(getattr(torch, dtype))
    spoiled = good.clone()
    spoiled[777] = float(bad)
    save(tmp_path, good=good, spoiled=spoiled)
    assert tensors.first_not_finite(tmp_path) == "spoiled"


def test_finite_numbers_pass_and_integers_are_ignored(tmp_path: Path) -> None:
    import torch

    save(tmp_path, a=torch.tensor([0.0, -0.0, 3.4e38]), b=torch.tensor([2**62]))
    assert tensors.first_not_finite(tmp_path) is None


@pytest.mark.parametrize(("values", "changed"), [([0.0, -0.0], False), ([0.0, 1e-30], True)])
def test_an_adapter_that_moved(tmp_path: Path, values: list[float], changed: bool) -> None:
    import torch

    save(tmp_path, **{"layer.lora_B.weight": torch.tensor(values), "lora_A": torch.ones(1)})
    assert tensors.any_nonzero(tmp_path, ".lora_B.") is changed


def test_parameters_are_counted(tmp_path: Path) -> None:
    import torch

    save(tmp_path, a=torch.zeros(3, 4), b=torch.zeros(5))
    assert tensors.parameters(tmp_path) == 17


@pytest.mark.parametrize("cut", [0, 4, 20, -1])
def test_a_truncated_file_is_an_error(tmp_path: Path, cut: int) -> None:
    import torch

    path = save(tmp_path, a=torch.zeros(64))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"model\.safetensors"):
        tensors.read_header(path)


def test_a_folder_without_weights_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no safetensors"):
        tensors.parameters(tmp_path)


@pytest.mark.parametrize(
    ("one", "other", "move", "changed"),
    [
        ("bfloat16", "bfloat16", 0.0, False),
        ("float32", "bfloat16", 0.0, False),
        ("float32", "float16", 0.0, False),
        ("bfloat16", "bfloat16", 0.01, True),
        ("float32", "bfloat16", 0.1, True),
    ],
)
def test_rounding_alone_is_no_difference(
    tmp_path: Path, one: str, other: str, move: float, changed: bool
) -> None:
    import torch

    values = torch.linspace(-3, 3, 1000)
    for name, dtype, moved in (("one", one, 0.0), ("other", other, move)):
        (tmp_path / name).mkdir()
        save(tmp_path / name, weight=(values * (1 + moved)).to(getattr(torch, dtype)))
    assert tensors.differ(tmp_path / "one", tmp_path / "other") is changed


def test_folders_without_a_common_tensor_cannot_be_compared(tmp_path: Path) -> None:
    import torch

    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        save(tmp_path / name, **{name: torch.zeros(2)})
    with pytest.raises(DataError, match="shares no tensor"):
        tensors.differ(tmp_path / "one", tmp_path / "other")
