"""One version, told in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from selfedit.cli import output
from selfedit.cli.drift import in_words
from selfedit.cli.output import print_gates
from selfedit.policies.coverage import coverage
from selfedit.types import DriftFigures, Rollout, Version

_INDENT = "    "


def print_version(version: Version, drift: Sequence[DriftFigures] = ()) -> None:
    """Print a version for people, with what was measured of its drift since it was made."""
    _print_head(version, drift)
    for number, rollout in enumerate(version.rollouts, 1):
        _print_rollout(version, number, rollout)
    output.say()
    print_questions(version)
    _print_loss(version)


def print_questions(version: Version) -> None:
    """Print each question with its gold answer and both answers to it, and the totals."""
    rows = []
    for task, before, after in zip(version.tasks, version.before, version.after, strict=True):
        for probe, base, adapted in zip(task.probes, before.answers, after.answers, strict=True):
            rows.append(
                (
                    probe.question,
                    probe.answers[0],
                    f"{output.mark(base.verdict.correct)} {base.text}",
                    f"{output.mark(adapted.verdict.correct)} {adapted.text}",
                )
            )
    total = f"{version.questions} questions"
    rows.append((total, "", output.percent(version.base_accuracy), output.percent(version.adapted_accuracy)))
    output.table(("question", "answer", "base", "adapted"), rows, totals=True)


def _print_head(version: Version, drift: Sequence[DriftFigures]) -> None:
    dropped = f", {version.probes_dropped} more dropped" if version.probes_dropped else ""
    base, adapted = output.percent(version.base_accuracy), output.percent(version.adapted_accuracy)
    asked, sentences = coverage(version)
    facts = {
        "version": f"{version.id}, made {version.created} in {version.seconds:.0f} s",
        "model": f"{version.base.name} ({version.base.fingerprint[:16]})",
        "documents": ", ".join(f"{document.title} ({document.path})" for document in version.documents),
        "accuracy": f"before {base}, after {adapted}",
        "questions": f"{version.questions} by {output.ASKED_BY[version.probe_source]}{dropped}",
        "lineage": _lineage(version),
        "knows": _knows(version),
        "coverage": f"{asked} of {sentences} sentences have a question in the kept self-edits",
        "settings": _settings(version.settings),
    }
    facts["drift"] = in_words(drift or version.drift)
    if version.approved_by:
        facts["approved"] = f"by {version.approved_by}"
    for number, flag in enumerate(version.flags, 1):
        facts[f"flag {number}"] = f"{flag.kind}, {flag.where}: {flag.why}"
    if version.rejected:
        facts["rejected"] = version.rejected
    for name, fact in facts.items():
        output.say(f"{name:<10} {fact}")
    print_gates(version.gates)


def _lineage(version: Version) -> str:
    """What a version builds on, and what made it."""
    on = f"{version.action} on top of {version.parent}" if version.parent else f"{version.action}, on the base"
    return on + (f", at {version.scale:.0%} of its strength" if version.scale < 1 else "")


def _knows(version: Version) -> str:
    """How much a version knows, and by what."""
    knowledge = version.knowledge
    return (
        f"{len(knowledge.learnt)} passages of {len(knowledge.documents)} documents in {len(knowledge.adapters)} "
        f"adapters, memory {knowledge.memory or 'of an earlier release'}"
    )


def _settings(settings: Mapping[str, Any]) -> str:
    """Settings in one line, those that are not set left out."""
    parts = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            if not any(each is not None for each in value.values()):
                continue
            parts.append(f"{name} ({_settings(value)})")
        elif value is not None:
            parts.append(f"{name} {value}")
    return ", ".join(parts)


def _print_rollout(version: Version, number: int, rollout: Rollout) -> None:
    title = next((task.title for task in version.tasks if task.id == rollout.edit.task_id), rollout.edit.task_id)
    parts = [f"Self-edit {number}", title, "kept" if rollout.kept else "not kept"]
    for after in rollout.afters:
        right = sum(answer.verdict.correct for answer in after.answers)
        parts.append(f"{right} of {len(after.answers)} right ({output.percent(after.accuracy)})")
        parts.append(f"gold log-probability {after.gold_logprob:.3f} a token")
    if rollout.failure is not None:
        parts.append(rollout.failure)
    output.say()
    output.say(" · ".join(parts))
    for line in rollout.edit.text.splitlines() or [
        "(the passage alone)" if rollout.edit.format == "none" else "(empty)"
    ]:
        output.say(_INDENT + line)
    for dropped in rollout.edit.dropped:
        output.say(f"{_INDENT}left out: {dropped}")


def _print_loss(version: Version) -> None:
    losses = version.losses
    if not losses:
        return
    output.say()
    output.say(f"Training loss over {len(losses)} steps")
    output.say(f"{_INDENT}{max(losses):.3f} at most, {min(losses):.3f} at least")
    output.say(f"{_INDENT}{losses[0]:.3f} {output.curve(losses)} {losses[-1]:.3f}")
