"""Factory: raw examples in, a specialised model out, with proof that it beats its base.

from factory import Workspace

ws = Workspace("my-workspace")
config = ws.config(preset="oracle-rauru-mac")
config.training.learning_rate = 1e-4
ws.run("finetune", config)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factory.workspace import Workspace as Workspace

__version__ = "0.1.0"
__all__ = ["Workspace", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are asked for: `factory --help` needs none of them."""
    if name == "Workspace":
        from factory.workspace import Workspace

        return Workspace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
