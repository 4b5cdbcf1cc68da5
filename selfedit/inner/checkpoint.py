"""The state of training, kept now and then, so that what is interrupted goes on to the same bits."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from selfedit.files.disk import PARTIAL, sync, sync_folder, writing
from selfedit.files.hashing import update_sha256
from selfedit.files.peft_folder import load_adapter, save_adapter
from selfedit.inner.job import TrainingJob
from selfedit.types import Adapter, Model, Recipe

_STATE = "state.safetensors"
_EVERY_S = 60.0
# Of the time of training, at most, that goes into writing.
_SHARE = 0.05


@dataclass(frozen=True)
class Snapshot:
    """Tensors by name, and everything else as JSON holds it."""

    tensors: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]


class CheckpointFolder:
    """One call of `InnerLoop.adapt`: its newest snapshot, and the adapters that had ended by then.

    Args:
        path: made when there is something to keep.
        every_s: seconds between snapshots, at least; more where writing takes long. 0 keeps one after each pass.
        owner: the folder that the user named, of which this is a part.
        instead: what the user may do where it cannot be written.
    """

    def __init__(
        self, path: Path, every_s: float = _EVERY_S, *, owner: Path | None = None, instead: str = "use another disk"
    ) -> None:
        self.path, self._every_s, self._owner, self._instead = path, every_s, owner or path, instead
        self._due = time.monotonic() + every_s

    def resume(self, key: str) -> Snapshot | None:
        """The newest snapshot of the work `key`; None where there is none, or one of other work, which is dropped."""
        file = self.path / _STATE
        if not file.is_file():
            return None
        try:
            with safe_open(file, framework="pt") as stored:
                facts = json.loads(stored.metadata()["facts"])
                if facts["key"] == key:
                    return Snapshot({name: stored.get_tensor(name) for name in stored.keys()}, facts)  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, ValueError):
            pass  # Written whole, so that only a damaged disk leads here.
        self.clear()
        return None

    def is_due(self) -> bool:
        """Whether a snapshot should be kept now."""
        return time.monotonic() >= self._due

    def keep(self, key: str, snapshot: Snapshot, ended: Mapping[int, Adapter]) -> None:
        """Replace the snapshot, whole or not at all.

        Args:
            ended: the adapters that ended since the last one, by their numbers.

        Raises:
            UserError: the disk is full or cannot be written.
        """
        started = time.monotonic()
        with writing(self._owner, self._instead):
            for number, adapter in ended.items():
                self._ended(number).mkdir(parents=True, exist_ok=True)
                save_adapter(adapter, self._ended(number), "")
                sync_folder(self._ended(number))
            self.path.mkdir(parents=True, exist_ok=True)
            partial = self.path / f"{PARTIAL}{_STATE}"
            tensors = {name: tensor.contiguous() for name, tensor in snapshot.tensors.items()}
            save_file(tensors, partial, metadata={"facts": json.dumps({**snapshot.facts, "key": key})})
            sync(partial)
            partial.replace(self.path / _STATE)
        now = time.monotonic()
        self._due = now + max(self._every_s, (now - started) / _SHARE if self._every_s else 0.0)

    def ended(self, number: int) -> Adapter:
        """An adapter that a snapshot says had ended."""
        return load_adapter(self._ended(number))

    def clear(self) -> None:
        """Let go of everything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _ended(self, number: int) -> Path:
        return self.path / f"ended-{number}"


class Keeper:
    """Keeps what one call of `adapt` has done, and knows what an earlier one had."""

    def __init__(self, checkpoint: CheckpointFolder, key: str) -> None:
        self._checkpoint, self._key = checkpoint, key
        self._resumed = checkpoint.resume(key)
        facts: Mapping[str, Any] = self._resumed.facts if self._resumed is not None else {}
        self._ended: list[str] = list(facts.get("ended", ()))
        self._group = facts.get("group")
        self._unkept: dict[int, Adapter] = {}

    def ended(self) -> Iterator[Adapter]:
        """The adapters that had ended."""
        for number in range(len(self._ended)):
            yield self._checkpoint.ended(number)

    def left(self, jobs: Sequence[TrainingJob]) -> list[TrainingJob]:
        """The jobs that had not ended."""
        return [job for job in jobs if job.recipe.id not in self._ended]

    def state(self, group: int) -> Snapshot | None:
        """Where a group of recipes was; None if it had not begun."""
        return self._resumed if self._group == group else None

    def keep(self, adapter: Adapter) -> None:
        """Keep an adapter that ended, when it is time: training that takes seconds writes nothing."""
        self._unkept[len(self._ended)] = adapter
        self._ended.append(adapter.recipe_id)

    def tick(self, group: int, snapshot: Callable[[], Snapshot]) -> None:
        """After each pass: keep the state of a group if it is time."""
        if self._checkpoint.is_due():
            state = snapshot()
            facts = {**state.facts, "group": group, "ended": self._ended}
            self._checkpoint.keep(self._key, Snapshot(state.tensors, facts), self._unkept)
            self._unkept = {}


def work_key(recipes: Sequence[Recipe], model: Model, *settings: object) -> str:
    """The hash of all that training depends on."""
    digest = hashlib.sha256(repr((model.base.fingerprint, settings)).encode())
    for update in model.updates:
        digest.update(update_sha256(update).encode())
    for recipe in recipes:
        start = update_sha256(recipe.start) if recipe.start is not None else ""
        digest.update(repr((recipe.id, recipe.examples, recipe.hyperparameters, recipe.seed, start)).encode())
    return digest.hexdigest()
