"""The adapters that a run keeps: its policies, and those of sequences; read back only if they are what was written."""

from __future__ import annotations

from pathlib import Path

from selfedit.errors import UserError
from selfedit.experiments.policies import PolicyNode
from selfedit.files.hashing import update_sha256
from selfedit.files.peft_folder import load_adapter, save_adapter
from selfedit.types import Adapter, Update


class PolicyFolders:
    """PEFT folders in a run's folder, one a policy. Each is read once."""

    def __init__(self, run: Path, base_name: str) -> None:
        self._run, self._base_name = run, base_name
        self._loaded: dict[str, Adapter] = {}

    def holds(self, node: PolicyNode) -> bool:
        """Whether the policy was saved."""
        return self._path(node).exists()

    def save(self, node: PolicyNode, policy: Update) -> None:
        """Keep a policy."""
        assert isinstance(policy, Adapter)  # The configuration refuses full finetuning of policies.
        path = self._path(node)
        path.mkdir(exist_ok=True)
        save_adapter(policy, path, self._base_name)
        self._loaded[node.id] = policy

    def load(self, node: PolicyNode) -> Adapter:
        """A policy's weights.

        Raises:
            UserError: they are not there, or not those that were recorded.
        """
        if node.id not in self._loaded:
            self._loaded[node.id] = load_checked(self._path(node), node.sha256)
        return self._loaded[node.id]

    def _path(self, node: PolicyNode) -> Path:
        return self._run / f"policy-{node.id}"


def load_checked(folder: Path, sha256: str) -> Adapter:
    """An adapter that a run wrote.

    Raises:
        UserError: it is not there, or its weights are not those whose hash was recorded.
    """
    adapter = load_adapter(folder)
    if update_sha256(adapter) != sha256:
        raise UserError(
            f"{folder} was changed or damaged: its weights are not those that the run recorded. Restore it from a "
            "backup, or begin the run anew with another --out."
        )
    return adapter
