"""A base model from any GGUF file."""

from __future__ import annotations

from pathlib import Path

from selfedit.errors import UserError
from selfedit.files.hashing import sha256_of_files
from selfedit.models.base import ModelSource
from selfedit.models.cache import complete, make_once
from selfedit.paths import models_cache
from selfedit.progress import Progress


class GgufSource(ModelSource):
    """A .gguf file, dequantised once into the cache under the hash of its contents."""

    def __init__(self, path: Path) -> None:
        # Whole, so that a version finds its base from any folder.
        self.name = str(path.expanduser().resolve())
        self._path = path.expanduser()

    def check(self) -> None:
        """Raise UserError unless the file is there and starts like a GGUF file."""
        if not self._path.is_file():
            raise UserError(f"No file {self._path}. Check the path of the .gguf file.")
        try:
            with self._path.open("rb") as file:
                magic = file.read(4)
        except OSError as error:
            raise UserError(f"Cannot read {self._path}: {error.strerror}. Check its permissions.") from error
        if magic != b"GGUF":
            raise UserError(f"{self._path} is not a GGUF file (it does not start with 'GGUF'). Download it again.")

    def cached(self) -> Path | None:
        """Raises UserError as `check` does."""
        target, _ = self._target()
        return target if complete(target) else None

    def folder(self, progress: Progress) -> Path:
        """Return the folder of the dequantised model, converting it the first time. Raises UserError."""
        from selfedit.models import convert

        target, sha256 = self._target()

        def build(scratch: Path) -> Path:
            progress.note(f"Converting {self._path.name} to bf16 safetensors, once.")
            convert.convert(self._path.resolve(), scratch / "model", source=self.name, sha256=sha256)
            return scratch / "model"

        return make_once(target, build, needs_bytes=self._needs_bytes(), progress=progress)

    def _target(self) -> tuple[Path, str]:
        self.check()
        (sha256,) = sha256_of_files([self._path])
        return models_cache() / f"gguf-{sha256[:16]}", sha256

    def _needs_bytes(self) -> int:
        # Weights of at least four bits grow fourfold at most; a smaller format is rare and finds a full disk later.
        return 4 * self._path.stat().st_size + 50_000_000
