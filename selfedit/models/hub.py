"""A base model from the Hugging Face hub."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from selfedit.errors import UserError
from selfedit.models.base import ModelSource
from selfedit.models.folder import hint, missing_from
from selfedit.models.quiet import quiet_hub
from selfedit.progress import Progress, TerminalProgress

# Weights as safetensors only: a pickle can run code when it is loaded.
_PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
_LOCAL = "name a local one with --model FOLDER or --model FILE.gguf"


class HubSource(ModelSource):
    """A repository of the hub, `org/name`. What the Hugging Face cache holds in full is used without the network."""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self) -> None:
        """Raise UserError unless the name is one that the hub could have."""
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils._validators import validate_repo_id

        try:
            validate_repo_id(self.name)
        except HFValidationError as error:
            raise UserError(f"'{self.name}' is no Hugging Face id (org/name). Check its spelling.") from error

    def folder(self, progress: Progress) -> Path:
        """Return the snapshot in the Hugging Face cache, downloading what is missing from it.

        Raises UserError offline, without access, or when the repository holds no safetensors model.
        """
        self.check()
        cached = self.cached()
        if cached is not None:
            return cached
        folder = self._download(progress)
        missing = missing_from(folder)
        if missing is not None:
            raise UserError(f"{self.name} on the Hugging Face hub cannot be used: {missing}. {hint(folder)}")
        return folder

    def cached(self) -> Path | None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(self.name, allow_patterns=list(_PATTERNS), local_files_only=True))
        except LocalEntryNotFoundError:
            return None
        return folder if missing_from(folder) is None else None

    def outline(self, progress: Progress) -> Path:
        """All but the weights."""
        self.check()
        return self.cached() or self._download(progress, _PATTERNS[1:])

    def _download(self, progress: Progress, patterns: tuple[str, ...] = _PATTERNS) -> Path:
        from huggingface_hub import snapshot_download
        from huggingface_hub.constants import HF_HUB_OFFLINE
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

        if HF_HUB_OFFLINE:
            raise UserError(
                f"{self.name} is not in the Hugging Face cache and HF_HUB_OFFLINE is set. Unset it to download the "
                f"model, or {_LOCAL}."
            )
        what = "" if "*.safetensors" in patterns else "what describes "
        progress.note(f"Downloading {what}{self.name} from the Hugging Face hub into its cache.")
        try:
            # The hub knows its bytes best, so that its own bars serve on a terminal, and nothing elsewhere.
            with nullcontext() if isinstance(progress, TerminalProgress) else quiet_hub():
                return Path(snapshot_download(self.name, allow_patterns=list(patterns)))
        except GatedRepoError as error:
            raise UserError(
                f"{self.name} is gated. Accept its terms on its hub page, then log in with 'hf auth login'."
            ) from error
        except RepositoryNotFoundError as error:
            raise UserError(
                f"The Hugging Face hub has no model {self.name}, or it is private. Check its spelling, log in with "
                f"'hf auth login', or {_LOCAL}."
            ) from error
        except Exception as error:  # The HTTP library underneath, and so its errors, differ between releases.
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise UserError(
                f"Could not download {self.name} from the Hugging Face hub: {reason}. Check the network and the free "
                f"disk space and run again (what is there already is kept), or {_LOCAL}."
            ) from error
