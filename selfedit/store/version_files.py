"""A version as the three files that a store keeps of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from selfedit.files.serialize import decode, encode, plain_dict
from selfedit.release_0_1 import upgraded_rollout
from selfedit.types import Knowledge, Learnt, Rollout, SelfEdit, Version

HEAD, ROLLOUTS, LEARNT = "version.json", "rollouts.jsonl", "learnt.jsonl"


def encode_version(version: Version) -> dict[str, bytes]:
    """The contents of the three files: what fits a page, and a line each of what was tried and what is known.

    Raises ValueError and TypeError as `encode` does.
    """
    head = plain_dict(version)
    del head["rollouts"]
    head["knowledge"] = {"memory": version.knowledge.memory}
    return {
        HEAD: encode(head, indent=2) + b"\n",
        ROLLOUTS: b"".join(encode(rollout) + b"\n" for rollout in version.rollouts),
        LEARNT: b"".join(encode(item) + b"\n" for item in version.knowledge.learnt),
    }


def decode_head(head: bytes) -> Version:
    """The version without its rollouts and what it knows. Raises ValueError when it is damaged."""
    plain = json.loads(head)
    if not isinstance(plain, dict):
        raise ValueError(f"{HEAD} is not an object")
    return decode(Version, encode({**plain, "rollouts": []}))


def decode_version(head: bytes, rollouts: bytes, learnt: bytes | None) -> Version:
    """Read back what `encode_version` wrote. Raises ValueError when a part is damaged.

    Args:
        learnt: None where the release that wrote the version kept nothing of that kind: what it knows is what was new
            in it.
    """
    version = replace(decode_head(head), rollouts=tuple(_decode_rollouts(rollouts.splitlines())))
    if learnt is None:
        items = tuple(replace(item, adapter=version.adapter_sha256) for item in newly_learnt(version))
    else:
        items = tuple(_decode_learnt(learnt.splitlines()))
    return replace(version, knowledge=replace(version.knowledge, learnt=items))


def newly_learnt(version: Version) -> tuple[Learnt, ...]:
    """The passages that were new in a version, with the self-edits that were kept, not yet in any adapter."""
    kept: dict[str, list[SelfEdit]] = {}
    for rollout in version.rollouts:
        if rollout.kept:
            kept.setdefault(rollout.edit.task_id, []).append(replace(rollout.edit, token_ids=(), logprobs=()))
    by_hash = {document.sha256[:12]: document for document in version.documents}
    seed = version.settings.get("seed", 0)
    return tuple(
        Learnt(
            by_hash.get(task.id.partition(".")[0], version.documents[0]),
            task,
            tuple(kept[task.id]),
            seed if isinstance(seed, int) else 0,
            version=version.id,
        )
        for task in version.tasks
        if task.id in kept and version.documents
    )


def with_id(version: Version, id: str) -> Version:
    """The version under its id, which what was new in it bears, too."""
    learnt = tuple(item if item.version else replace(item, version=id) for item in version.knowledge.learnt)
    return replace(version, id=id, knowledge=Knowledge(version.knowledge.memory, learnt))


def without_id(version: Version) -> Version:
    """The version as it was before it got its id."""
    items = version.knowledge.learnt
    learnt = tuple(replace(item, version="") if item.version == version.id else item for item in items)
    return replace(version, id="", knowledge=replace(version.knowledge, learnt=learnt))


def _decode_rollouts(lines: Iterable[bytes]) -> Iterable[Rollout]:
    for number, line in enumerate(lines, start=1):
        try:
            yield decode(Rollout, encode(upgraded_rollout(decode(dict[str, Any], line))))
        except ValueError as error:
            raise ValueError(f"{ROLLOUTS}, line {number}: {error}") from error


def _decode_learnt(lines: Iterable[bytes]) -> Iterable[Learnt]:
    for number, line in enumerate(lines, start=1):
        try:
            yield decode(Learnt, line)
        except ValueError as error:
            raise ValueError(f"{LEARNT}, line {number}: {error}") from error
