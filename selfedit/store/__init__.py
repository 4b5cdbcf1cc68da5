"""Versions on disk: each a LoRA adapter with everything that made it."""

from __future__ import annotations

from selfedit.files.journal import Journal
from selfedit.store.store import Store, check_base

__all__ = ["Journal", "Store", "check_base"]
