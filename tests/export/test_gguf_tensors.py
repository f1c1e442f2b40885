"""GGUF files written for the test, good and bad."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from factory.errors import DataError
from factory.export import gguf_tensors


def write(path: Path, *, spoiled: float | None = None) -> Path:
    """A GGUF with a quantized, a half and a float tensor; `spoiled` is put into the quantized."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    writer = GGUFWriter(path, "llama")
    writer.add_eos_token_id(7)
    writer.add_chat_template("{{ messages }}")
    weights = np.ones((64, 32), dtype=np.float32)
    quantized = quantize(weights, GGMLQuantizationType.Q8_0)
    if spoiled is not None:
        # The first two bytes of a Q8_0 block are its scale, a float16.
        quantized[40, :2] = np.array([spoiled], dtype=np.float16).view(np.uint8)
    writer.add_tensor("q.weight", quantized, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.add_tensor("h.weight", weights.astype(np.float16))
    writer.add_tensor("n.weight", np.ones(5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_types_end_token_and_template_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "good.gguf")
    found = gguf_tensors.inspect(path)
    assert found.types == {"F16": 1, "F32": 1, "Q8_0": 1}
    assert found.not_finite == []
    assert found.end_token_id == 7
    assert gguf_tensors.chat_template(path) == "{{ messages }}"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_bad_block_in_a_quantized_tensor_is_found(
    tmp_path: Path, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_tensors, "ROWS_AT_ONCE", 16)
    found = gguf_tensors.inspect(write(tmp_path / "bad.gguf", spoiled=value))
    assert found.not_finite == ["q.weight"]


@pytest.mark.parametrize("keep", [0, 3, 20, 100, 400])
def test_a_truncated_file_is_one_clear_error(tmp_path: Path, keep: int) -> None:
    path = write(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match="run finetune"):
        gguf_tensors.inspect(path)


def test_a_link_to_a_gguf_is_refused(tmp_path: Path) -> None:
    link = tmp_path / "link.gguf"
    link.symlink_to(write(tmp_path / "good.gguf"))
    with pytest.raises(DataError, match="symbolic links"):
        gguf_tensors.inspect(link)
