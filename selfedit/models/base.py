"""What a base model comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from selfedit.progress import Progress


class ModelSource(ABC):
    """One place that a base model can come from. Making one touches nothing; `check` and `folder` do."""

    name: str
    """The name by which the user asked for the model."""

    @abstractmethod
    def check(self) -> None:
        """Find, within milliseconds and without the network, what would make `folder` fail.

        Raises UserError.
        """

    @abstractmethod
    def cached(self) -> Path | None:
        """Return what `folder` would, if nothing has to be fetched or converted for it; else None."""

    def outline(self, progress: Progress) -> Path:
        """Return a local folder with config.json and a tokenizer, perhaps without weights. Raises as `folder` does."""
        return self.folder(progress)

    @abstractmethod
    def folder(self, progress: Progress) -> Path:
        """Return a local folder with config.json, a tokenizer and *.safetensors, downloading or converting first.

        Raises UserError when that cannot be done; nothing half-made is left behind.
        """
