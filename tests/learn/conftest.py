from __future__ import annotations

from tests.memory.conftest import base, library

__all__ = ["base", "library"]
