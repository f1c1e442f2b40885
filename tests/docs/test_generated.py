"""Generated pages are what their generator writes now."""

import importlib.util

from tests.markdown import ROOT


def test_configuration_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "scripts" / "build_docs.py")
    assert spec is not None and spec.loader is not None
    build_docs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_docs)
    written = build_docs.CONFIGURATION.read_text(encoding="utf-8")
    assert written == build_docs.configuration(), "run: python scripts/build_docs.py"
