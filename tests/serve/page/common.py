"""What several tests of the page need."""

from __future__ import annotations

from pathlib import Path

from selfedit.session import Session
from tests.serve.conftest import Taught, another


def session_over(taught: Taught, store: Path) -> Session:
    """A session on another store, with a model of its own."""
    model = another(taught.folder)
    return Session(store=store, base=model.base)
