"""Compiles what is C in factory/data, into the wheel or, for an editable install, the checkout.

Without a C compiler the factory is installed all the same: each of these modules has one in Python
that does its work, slower, and `factory doctor` says so.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

MODULES = ("factory.data._plain", "factory.data._lines")


class CompileHook(BuildHookInterface):
    """What hatchling calls before it makes a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell hatchling that the wheel is for one Python and one processor."""
        built = [compiled(Path(self.root), name) for name in MODULES]
        if None in built:
            self.app.display_warning(
                "factory/data/*.c was not compiled, so stage format will be slower. To have it, "
                "install a C compiler (Debian, Ubuntu: sudo apt install build-essential; macOS: "
                "xcode-select --install), then install the factory again"
            )
            return
        build_data["artifacts"] += [f"/{path}" for path in built]
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compiled(root: Path, name: str) -> str | None:
    """Compile a module and put it beside its source; its path, or None if that is impossible."""
    source = Path(*name.split(".")).with_suffix(".c")
    module = Extension(name, [str(root / source)], extra_compile_args=["-O3"], optional=True)
    with tempfile.TemporaryDirectory() as folder:
        command = build_ext(Distribution({"name": "factory", "ext_modules": [module]}))
        command.build_lib = command.build_temp = folder
        command.ensure_finalized()
        command.run()
        built = Path(folder, command.get_ext_filename(name))
        if not built.exists():
            return None
        target = source.with_name(built.name)
        # A process that has the old file open keeps it.
        partial = root / f"{target}.partial"
        shutil.copyfile(built, partial)
        os.replace(partial, root / target)
    return target.as_posix()
