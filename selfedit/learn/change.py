"""Versions that learn nothing new: without a document, or with all that is known in one adapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.errors import UserError, nearest
from selfedit.gates import Compared
from selfedit.learn.config import LearnConfig
from selfedit.memory import load_memory
from selfedit.runtime import software_versions
from selfedit.store import MovedError, Store
from selfedit.types import Action, DocumentRef, Knowledge, Learnt, Probe, Version

# What only compares versions, or says what is wrong, does not wait for torch.
if TYPE_CHECKING:
    from selfedit.learn.update import Candidate, Updater


@dataclass(frozen=True)
class Change:
    """What came of it. `reason` says why nothing was committed; `rejected` was set aside, `pending` waits."""

    version: Version | None
    reason: str = ""
    rejected: Version | None = None
    pending: Version | None = None


@dataclass(frozen=True)
class Difference:
    """What one version knows and another does not, by passages, and how answers differ about what both know."""

    gone: tuple[Learnt, ...]
    come: tuple[Learnt, ...]
    anew: tuple[Learnt, ...]
    answers: Compared
    probes: tuple[Probe, ...] = ()


def forget(store: Store, updater: Updater, config: LearnConfig, document: str) -> Change:
    """Commit a version without a document. It is not held against gates, since whoever forgets wants it gone.

    Of a routed version the adapters of other passages stay as they are: they never depended on it. Any other memory is
    trained anew on what is left, from the base, so that nothing of the document is in its weights.

    Raises:
        UserError: the active version knows no such document; the nearest is named.
    """
    while True:
        parent = store.get()
        known = parent.knowledge
        gone = _with_corrections(matching(known, document), known)
        memory = updater.memory(known.memory or "joint")
        left = memory.without(known, gone)
        if parent.scale < 1 and not memory.routed and left.learnt:
            # As strong as the gates had let it be, when it was trained on more.
            left = memory.weaker(Knowledge(memory.name), left, parent.scale)
        candidate = updater.judged(known, left, (), ())
        documents = tuple(dict.fromkeys(item.document for item in gone))
        version = _version("forget", parent, candidate, config, documents)
        try:
            return Change(store.commit(version, on=parent.id))
        except MovedError:
            continue


def _with_corrections(gone: Sequence[Learnt], known: Knowledge) -> list[Learnt]:
    """With the corrections of answers by passages that go: their questions were worded from what those say."""
    left = {item.task.title for item in known.learnt if item not in gone and not item.document.is_correction}
    titles = {item.task.title for item in gone if not item.document.is_correction} - left - {""}
    return [
        item for item in known.learnt if item in gone or (item.document.is_correction and item.task.title in titles)
    ]


def consolidate(store: Store, updater: Updater, config: LearnConfig, memory: str) -> Change:
    """Commit a version that knows the same by another memory, such as one adapter for all, if the gates let it.

    Raises:
        UserError: nothing is known, or it is in that memory already.
        DivergedError: training diverged.
    """
    while True:
        parent = store.get()
        known = parent.knowledge
        check_consolidates(parent, memory)
        candidate = updater.rebuild(memory, known)
        version = _version("consolidate", parent, candidate, config, known.documents)
        if candidate.reason:
            aside = store.commit(replace(version, rejected=candidate.reason), letter="r")
            return Change(None, candidate.reason, aside)
        try:
            made = store.commit(version, on=parent.id)
        except MovedError:
            continue
        if made.id in store.ids("p"):
            return Change(None, f"it waits for approval as {made.id}", pending=made)
        return Change(made)


def check_consolidates(version: Version, memory: str) -> None:
    """Raise UserError unless another memory could make something else of what a version knows."""
    if not version.knowledge.learnt:
        raise UserError(f"Version {version.id} knows nothing that could be consolidated.")
    if version.knowledge.memory == memory and not load_memory(memory).stacked:
        raise UserError(f"Version {version.id} is in the memory '{memory}' already.")


def difference(before: Knowledge, after: Knowledge, updater: Updater | None) -> Difference:
    """What came, what went, and what answers changed.

    Args:
        updater: what asks; None leaves the answers out.
    """
    old = {item.task.id: item for item in before.learnt}
    new = {item.task.id: item for item in after.learnt}
    both = [id for id in old if id in new]
    anew = tuple(new[id] for id in both if old[id].adapter != new[id].adapter)
    tasks = tuple(new[id].task for id in both)
    answers = Compared((), (), sum(len(task.probes) for task in tasks))
    if updater is not None and tasks:
        answers = updater.compare(before, after, tasks)
    gone = tuple(item for id, item in old.items() if id not in new)
    come = tuple(item for id, item in new.items() if id not in old)
    return Difference(gone, come, anew, answers, tuple(probe for task in tasks for probe in task.probes))


def matching(known: Knowledge, document: str) -> tuple[Learnt, ...]:
    """The passages of the document with this title, path or file name.

    Raises:
        UserError: there is none, or there are several such documents; the nearest are named.
    """
    names: dict[str, list[DocumentRef]] = {}
    for each in known.documents:
        for name in dict.fromkeys((each.title, each.path, Path(each.path).name, each.sha256[:12])):
            names.setdefault(name, []).append(each)
    chosen = names.get(document, [])
    if not chosen:
        raise UserError(f"No document '{document}' is known. {nearest(document, names)}")
    if len(chosen) > 1:
        listed = ", ".join(f"{each.path} ({each.sha256[:12]})" for each in chosen)
        raise UserError(f"Several documents are '{document}': {listed}. Name one by its path or hash.")
    return tuple(item for item in known.learnt if item.document == chosen[0])


def _version(
    action: Action, parent: Version, candidate: Candidate, config: LearnConfig, documents: Sequence[DocumentRef]
) -> Version:
    return Version(
        id="",
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        base=parent.base,
        documents=tuple(documents),
        tasks=(),
        probe_source=parent.probe_source,
        probes_dropped=0,
        settings=config.model_dump(mode="json"),
        software=software_versions(),
        rollouts=(),
        before=(),
        after=(),
        losses=candidate.losses,
        seconds=0.0,
        parent=parent.id,
        action=action,
        knowledge=candidate.knowledge,
        gates=candidate.figures,
        scale=candidate.scale,
        drift=candidate.drift,
    )
