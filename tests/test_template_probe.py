"""Hostile chat templates are refused within their limits; real ones pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory import kit, template_probe
from factory.errors import ConfigError
from tests.training.conftest import make_context

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
RANGE = "{% for a in range(10**9) %}x{% endfor %}"
HOSTILE = {
    "nested loops": (LOOP, "takes over 2 s"),
    "a long range": (RANGE, "reaches for|takes over|cannot be tried"),
    "memory": ("{{ 'x' * 10**10 }}", "1 GiB"),
    "doubling": (
        "{% set ns = namespace(t='x') %}{% for i in range(60) %}{% set ns.t = ns.t + ns.t %}"
        "{% endfor %}{{ ns.t }}",
        "1 GiB",
    ),
    "much text": ("{% for a in range(90000) %}{{ messages }}{% endfor %}", "a megabyte"),
    "escape": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "reaches for"),
    "globals": ("{{ messages.append.__globals__['os'].system('touch canary') }}", "reaches for"),
    "no template": ("{% for a in %}", "not a Jinja template"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_template_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, reason = HOSTILE[name]
    context = make_context(tmp_path / "ws", dataset={"chat_template": "own.jinja"})
    (context.workspace.root / "own.jinja").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=reason):
        template_probe.require(context)
    assert not list(tmp_path.rglob("canary"))


def test_the_template_of_the_model_is_tried_too(tmp_path: Path) -> None:
    context = make_context(tmp_path / "ws")
    template_probe.require(context)
    (context.workspace.root / "models/base/chat_template.jinja").write_text(LOOP)
    with pytest.raises(ConfigError, match=r"models/base/chat_template\.jinja: .* takes over 2 s"):
        template_probe.require(context)


def test_real_templates_pass() -> None:
    templates = sorted((kit.require().models / "templates").glob("*.jinja"))
    assert len(templates) > 50
    for path in templates[::6]:
        template_probe._require_harmless(path.read_text(encoding="utf-8"), path.name)
