"""A kit is found only by a machine that it was built for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from factory.kit import Kit, KitError, cache, find, require


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"FACTORY_CACHE": "/a"}, "/a/llama.cpp"),
        ({"FACTORY_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, "/a/llama.cpp"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/factory/llama.cpp"),
        ({"HOME": "/home/me"}, "/home/me/.cache/factory/llama.cpp"),
        ({"HOME": "/home/me", "FACTORY_CACHE": ""}, "/home/me/.cache/factory/llama.cpp"),
        ({"HOME": "/home/me", "FACTORY_CACHE": "~/kits"}, "/home/me/kits/llama.cpp"),
    ],
)
def test_root(variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FACTORY_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache.root() == Path(expected)


def test_key_depends_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    here = cache.build_key()
    assert here == cache.build_key()
    monkeypatch.setattr(cache, "cpu_features", lambda: ["sse2"])
    elsewhere = cache.build_key()
    assert elsewhere != here
    monkeypatch.setattr(cache, "cpu_features", lambda: ["avx2", "sse2"])
    assert cache.build_key() not in (here, elsewhere)


def test_this_cpu_has_features() -> None:
    features = cache.cpu_features()
    assert features == sorted(features)
    assert all(features)


def test_a_kit_without_manifest_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_CACHE", str(tmp_path))
    assert find() is None
    cache.kit_path().mkdir(parents=True)
    assert find() is None
    with pytest.raises(KitError, match=r"python -m factory.kit install"):
        require()
    (cache.kit_path() / cache.MANIFEST).write_text("{}")
    assert find() == require()


def test_a_kit_of_another_cpu_is_not_found(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find() == kit
    monkeypatch.setattr(cache, "cpu_features", lambda: ["sse2"])
    assert find() is None


def test_environment_points_unsloth_at_the_kit_and_keeps_it_offline(kit: Kit) -> None:
    assert kit.environment() == {
        "UNSLOTH_LLAMA_CPP_PATH": str(kit.path),
        "UNSLOTH_LLAMA_CPP_OFFLINE": "1",
        "UNSLOTH_AUTO_INSTALL": "0",
        "FACTORY_PYTHON": sys.executable,
    }


def test_the_kit_holds_reference_vocabularies_and_templates(kit: Kit) -> None:
    assert (kit.models / "ggml-vocab-qwen2.gguf").is_file()
    assert len(list(kit.templates.glob("*.jinja"))) > 50
    assert {wheel.name.split("-")[0] for wheel in kit.wheels} == {"gguf", "llama_cpp_python"}
