"""A run's folder: what it is, all that it recorded, and the policies it trained. Never overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from selfedit.audit import given_signer, keep_head
from selfedit.errors import UserError
from selfedit.experiments.config import TrainConfig
from selfedit.files.disk import reading, write_whole, writing
from selfedit.files.journal import Journal
from selfedit.files.serialize import decode, encode
from selfedit.release_0_1 import upgraded_config
from selfedit.types import ModelRef

_INSTEAD = "use another --out"
FREE = tuple(f"engine.{name}" for name in ("slots", "token_budget", "tracking", "executor", "workers", "chunk"))
"""These say how fast, where and how shown, not what."""


@dataclass(frozen=True)
class RunFacts:
    """What a run was made of.

    Attributes:
        hashes: of its data files; and the identities of rewards that ask a judge.
        grader: a grader's identity.
        precision: of the model's weights, which was chosen by measuring; empty where release 0.1 did not say.
    """

    id: str
    kind: str
    created: str
    config: Mapping[str, Any]
    hashes: Mapping[str, str]
    model: ModelRef
    software: Mapping[str, str]
    status: str = "unfinished"
    seconds: float = 0.0
    grader: str = ""
    precision: str = ""

    @property
    def graded_by(self) -> str:
        """The grader's identity; of runs that did not record it, the name in their configuration."""
        return self.grader or str(self.config["evaluation"]["grader"])


class RunFolder:
    """`run.json` says what the run is, `records/journal.jsonl` holds every edit, answer and verdict, one a line."""

    def __init__(self, path: Path, facts: RunFacts) -> None:
        self.path, self.facts = path, facts

    @classmethod
    def open(
        cls,
        path: Path,
        kind: str,
        config: TrainConfig,
        hashes: Mapping[str, str],
        model: ModelRef,
        software: Mapping[str, str],
        grader: str,
        precision: str = "",
    ) -> RunFolder:
        """Begin a run, or go on with the one that is there.

        Raises:
            UserError: the folder holds another run: the keys or the data that differ are named.
        """
        plain = config.model_dump(mode="json")
        cls.check(path)
        if (path / "run.json").exists():
            facts = cls.read(path).facts
            _check_same(path, facts, kind, plain, hashes, model)
            if facts.graded_by != grader:
                raise UserError(
                    f"{path} holds a run graded by {facts.graded_by}, not {grader}. Put it back, or {_INSTEAD}."
                )
            return cls(path, facts)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        facts = RunFacts(path.name, kind, created, plain, hashes, model, software, grader=grader, precision=precision)
        folder = cls(path, facts)
        with writing(path, _INSTEAD):
            path.mkdir(parents=True, exist_ok=True)
        folder._write()
        return folder

    @classmethod
    def check(cls, path: Path) -> None:
        """Before a model is loaded: may a run be in the folder `path`? Raises UserError if not."""
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; a run needs a folder: {_INSTEAD}.")
        if path.exists() and not (path / "run.json").exists() and any(path.iterdir()):
            raise UserError(f"{path} is not empty and holds no run; {_INSTEAD}.")

    @classmethod
    def read(cls, path: Path) -> RunFolder:
        """An existing run. Raises UserError if there is none or it is damaged."""
        file = path / "run.json"
        if not file.exists():
            raise UserError(f"{path} holds no run. Begin one with: selfedit train CONFIG.yaml --out {path}")
        with reading(file):
            data = file.read_bytes()
        try:
            return cls(path, decode(RunFacts, data))
        except ValueError as error:
            raise UserError(f"{file} is damaged: {error}.") from None

    @contextmanager
    def records(self) -> Iterator[Journal]:
        """The run's journal, held by this process alone while it is open."""
        given_signer(self.path)  # A key that cannot sign is said before the work.
        with Journal.open(self.path / "records", _INSTEAD) as journal:
            yield journal
            keep_head(self.path)

    def worked(self, seconds: float, finished: bool) -> None:
        """Add to the time that the run took so far, and say whether it is finished."""
        status = "finished" if finished else "unfinished"
        self.facts = replace(self.facts, status=status, seconds=self.facts.seconds + seconds)
        self._write()

    def _write(self) -> None:
        with writing(self.path, _INSTEAD):
            write_whole(self.path / "run.json", encode(self.facts, indent=2) + b"\n")


def _check_same(
    path: Path, facts: RunFacts, kind: str, config: dict[str, Any], hashes: Mapping[str, str], model: ModelRef
) -> None:
    differing = [key for key in differences(upgraded_config(facts.config), config) if key not in FREE]
    if facts.kind != kind or differing:
        what = ", ".join(differing) or "the command"
        raise UserError(
            f"{path} holds a run of another configuration; these differ: {what}. Give --out another folder."
        )
    for key in sorted(facts.hashes.keys() | hashes.keys()):
        if facts.hashes.get(key) != hashes.get(key):
            groups = {"train": "data.train", "validation": "data.validation", "prompts": "policy.prompts"}
            what = groups.get(key, key)
            raise UserError(f"{what} is not what it was when the run in {path} began. Put it back, or {_INSTEAD}.")
    if facts.model.fingerprint != model.fingerprint:
        raise UserError(
            f"The model {model.name} has changed since the run in {path} began. Put it back, or {_INSTEAD}."
        )


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted keys whose values differ; where files lie does not count, since their contents are hashed."""
    differing = []
    for key in sorted(before.keys() | now.keys()):
        left, right = before.get(key), now.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            differing += differences(left, right, f"{prefix}{key}.")
        elif json.dumps(left, sort_keys=True) != json.dumps(right, sort_keys=True) and not _is_path(prefix, key):
            differing.append(f"{prefix}{key}")
    return differing


def _is_path(prefix: str, key: str) -> bool:
    files = {"data.": ("train", "validation", "validation_index"), "policy.": ("prompts",)}
    return prefix == "evaluation.edits_from." or key in files.get(prefix, ())
