"""Self-adapting language models: a model reads, writes its own finetuning data, trains on it, keeps what helps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.runtime import prepare_threads

prepare_threads()

if TYPE_CHECKING:
    from selfedit.session import Session

__all__ = ["load"]


def load(model: str | None = None, store: str | Path = ".selfedit", device: str | None = None) -> Session:
    """A session with a base model and a store; see `selfedit.session.Session`."""
    from selfedit.session import Session

    return Session(model, store, device)
