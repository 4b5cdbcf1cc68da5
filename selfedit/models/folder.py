"""A base model in a local folder."""

from __future__ import annotations

import json
from pathlib import Path

from selfedit.errors import UserError
from selfedit.models.base import ModelSource
from selfedit.progress import Progress

INDEX = "model.safetensors.index.json"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")


class FolderSource(ModelSource):
    """A folder in the layout of transformers, used where it lies."""

    def __init__(self, path: Path) -> None:
        # Whole, so that a version finds its base from any folder.
        self.name = str(path.expanduser().resolve())
        self._path = path.expanduser()

    def check(self) -> None:
        """Raise UserError unless the folder holds a configuration, safetensors weights and a tokenizer."""
        missing = missing_from(self._path)
        if missing is not None:
            raise UserError(f"{self._path} is not a model folder: {missing}. {hint(self._path)}")

    def cached(self) -> Path | None:
        """Raises UserError as `check` does."""
        self.check()
        return self._path

    def folder(self, progress: Progress) -> Path:
        """Return the folder itself. Raises UserError as `check` does."""
        self.check()
        return self._path


def missing_from(folder: Path) -> str | None:
    """Say what keeps `folder` from being a whole model, or None when nothing does."""
    if not (folder / "config.json").is_file():
        return "it has no config.json"
    names = {path.name for path in folder.glob("*.safetensors")}
    if not names:
        return "it has no *.safetensors weights"
    shards = _shards(folder / INDEX)
    if absent := sorted(shards - names):
        return f"it lacks {absent[0]}, which {INDEX} names"
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        return "it has no tokenizer (tokenizer.json)"
    return None


def hint(folder: Path) -> str:
    """What to do about a folder that is not a whole model."""
    if (folder / "adapter_config.json").is_file():
        return "It is a LoRA adapter: name its base model instead."
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")):
        return "Pickled weights (*.bin, *.pt) are never loaded: convert them to safetensors first."
    if gguf := sorted(folder.glob("*.gguf")):
        return f"Name the file itself: {gguf[0]}."
    return "Save the model and its tokenizer there with save_pretrained, or name another folder."


def _shards(index: Path) -> set[str]:
    if not index.is_file():
        return set()
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, OSError) as error:
        raise UserError(f"Cannot read {index}: it is damaged. Download or save the model again.") from error
