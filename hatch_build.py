"""Compiles factory/data/_plain.c, into the wheel or, for an editable install, into the checkout.

Without a C compiler the factory is installed all the same: factory/data/plain.py does the work of
the compiled part, slower, and `factory doctor` says so.
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

NAME, SOURCE = "factory.data._plain", "factory/data/_plain.c"


class CompileHook(BuildHookInterface):
    """What hatchling calls before it makes a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell hatchling that the wheel is for one Python and one processor."""
        built = compiled(Path(self.root))
        if built is None:
            self.app.display_warning(
                f"{SOURCE} was not compiled, so stage format will be slower. To have it, install a "
                "C compiler (Debian, Ubuntu: sudo apt install build-essential; macOS: xcode-select "
                "--install), then install the factory again"
            )
            return
        build_data["artifacts"].append("/" + built.relative_to(self.root).as_posix())
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compiled(root: Path) -> Path | None:
    """Compile the module and put it beside its source; None if that is impossible."""
    module = Extension(NAME, [str(root / SOURCE)], extra_compile_args=["-O3"], optional=True)
    with tempfile.TemporaryDirectory() as folder:
        command = build_ext(Distribution({"name": "factory", "ext_modules": [module]}))
        command.build_lib = command.build_temp = folder
        command.ensure_finalized()
        command.run()
        built = Path(folder, command.get_ext_filename(NAME))
        if not built.exists():
            return None
        target = (root / SOURCE).with_name(built.name)
        # A process that has the old file open keeps it.
        partial = target.with_name(f"{target.name}.partial")
        shutil.copyfile(built, partial)
        os.replace(partial, target)
    return target
