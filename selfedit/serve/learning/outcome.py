"""From what learning returns to what is told of a job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from selfedit.learn.feedback import FeedbackResult
from selfedit.learn.run import LearnResult
from selfedit.policies.coverage import coverage
from selfedit.serve.learning.job import LearningJob, Outcome, State
from selfedit.store import Store
from selfedit.store.version_folders import LETTERS
from selfedit.types import Evaluation, Flag, Version


def of_learning(job: LearningJob, result: LearnResult, known: Version | None) -> LearningJob:
    """How a job of documents ended.

    Args:
        known: the version that was the last to learn these very documents, if one did.
    """
    if result.version is not None:
        return of_version(job, result.version, flags=result.flags)
    if result.pending is not None:
        return replace(of_version(job, result.pending, flags=result.flags), state="waiting", reason=result.reason)
    if result.flags and not result.tasks:
        return replace(job, state="waiting", reason=result.reason, outcome=Outcome(flags=result.flags))
    if known is not None and not result.tasks:
        return replace(of_version(job, known), reason=result.reason)
    if result.rejected is not None:
        return replace(of_version(job, result.rejected, flags=result.flags), state="rejected", reason=result.reason)
    outcome = Outcome(passages=len(result.tasks), flags=result.flags)
    return replace(job, state="rejected", reason=result.reason, outcome=outcome)


def of_feedback(job: LearningJob, result: FeedbackResult) -> LearningJob:
    """How a job of feedback ended: what people agree on took effect, or what they do not waits, or neither."""
    made = (*result.versions, *result.pending, *result.rejected)
    waits = [f"{version.id} waits for approval" for version in result.pending]
    reason = "; ".join((*waits, *result.reasons))
    if not made:
        state: State = "waiting" if result.flags else "rejected"
        reason = reason or ("a guard flagged it" if result.flags else "there is none that has an answer and is new")
        return replace(job, state=state, reason=reason, outcome=Outcome(flags=result.flags))
    state = "learned" if result.versions else "waiting" if result.pending else "rejected"
    return replace(of_version(job, made[0], flags=result.flags), state=state, reason=reason)


def of_version(job: LearningJob, version: Version, flags: Sequence[Flag] = ()) -> LearningJob:
    """A job of which a version came, whichever kind of version that is; `learned`, unless one says otherwise."""
    asked, sentences = coverage(version)
    ids = {letter: version.id if version.id.startswith(letter) else "" for letter in LETTERS}
    outcome = Outcome(
        version=ids["v"],
        pending=ids["p"],
        rejected=ids["r"],
        hash=version.adapter_sha256,
        passages=len(version.tasks),
        asked=asked,
        sentences=sentences,
        questions=version.questions,
        before=_right(version.before),
        after=_right(version.after),
        flags=(*version.flags, *flags),
    )
    return replace(job, state="learned", reason="", outcome=outcome)


def settled(store: Store, job: LearningJob) -> LearningJob | None:
    """A job that waited for approval, when somebody has approved or rejected it; None before."""
    id = job.outcome.pending
    if id in store.ids("p"):
        return None
    became = [entry for entry in store.audit.entries() if entry.details.get("was") == id]
    outcome = replace(job.outcome, pending="")
    if not became:
        return replace(job, state="failed", reason=f"{id} is gone from the store", outcome=outcome)
    if became[-1].action == "committed":
        return replace(job, state="learned", reason="", outcome=replace(outcome, version=became[-1].subject))
    why = store.head(became[-1].subject).rejected
    return replace(job, state="rejected", reason=why, outcome=replace(outcome, rejected=became[-1].subject))


def _right(evaluations: Sequence[Evaluation]) -> int:
    return sum(answer.verdict.correct for each in evaluations for answer in each.answers)
