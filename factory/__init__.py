"""Factory: raw examples in, a specialised model out, with proof that it beats its base."""

from __future__ import annotations

__version__ = "0.1.0"
