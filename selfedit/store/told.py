"""Versions as plain values, for JSON: in a line of a list, in full, and as what waits for approval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from selfedit.store.approval import DocumentDiff
from selfedit.types import Version


def listed(head: Version) -> dict[str, Any]:
    """A version without its rollouts, as a list has it."""
    return {
        "id": head.id,
        "parent": head.parent,
        "action": head.action,
        "memory": head.knowledge.memory,
        "created": head.created,
        "documents": [document.title for document in head.documents],
        "passages": len(head.tasks),
        "questions": head.questions,
        "base_accuracy": head.base_accuracy,
        "adapted_accuracy": head.adapted_accuracy,
        "scale": head.scale,
        "rejected": head.rejected,
        "model": head.base.name,
    }


def in_full(version: Version) -> dict[str, Any]:
    """Everything that is known of a version, and the accuracies that follow from it."""
    return {
        **asdict(version),
        "rollouts": [asdict(r) | {"reward": r.reward, "failure": r.failure} for r in version.rollouts],
        "questions": version.questions,
        "base_accuracy": version.base_accuracy,
        "adapted_accuracy": version.adapted_accuracy,
    }


def held(head: Version) -> dict[str, Any]:
    """A version that waits for approval, as a list has it."""
    return {
        "id": head.id,
        "created": head.created,
        "parent": head.parent,
        "documents": [asdict(document) for document in head.documents],
        "base_accuracy": head.base_accuracy,
        "adapted_accuracy": head.adapted_accuracy,
        "flags": [asdict(flag) for flag in head.flags],
        "adapter": head.adapter_sha256,
    }


def held_in_full(version: Version, diffs: Sequence[DocumentDiff]) -> dict[str, Any]:
    """All that a person should see before it takes effect."""
    edits = [{"task": r.edit.task_id, "text": r.edit.text} for r in version.rollouts if r.kept]
    questions = [
        {"question": probe.question, "gold": probe.answers[0], "before": old.text, "after": new.text}
        | {"right_before": old.verdict.correct, "right_after": new.verdict.correct}
        for task, before, after in zip(version.tasks, version.before, version.after, strict=True)
        for probe, old, new in zip(task.probes, before.answers, after.answers, strict=True)
    ]
    documents = [asdict(diff.document) | {"new": diff.is_new, "diff": list(diff.lines)} for diff in diffs]
    gates = [asdict(figure) for figure in version.gates]
    return held(version) | {"documents": documents, "edits": edits, "questions": questions, "gates": gates}
