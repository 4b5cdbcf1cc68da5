"""What is to be learnt, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from selfedit.types import Flag

State = Literal["queued", "learning", "waiting", "learned", "rejected", "failed", "cancelled"]
"""`waiting`: for a person's approval, for a person to look at what a guard flagged, or for the rules to allow it."""

Kind = Literal["documents", "folder", "feedback"]

CANCELLED = "it was cancelled"
"""The reason of a job that was."""

ENDED: frozenset[State] = frozenset({"learned", "rejected", "failed", "cancelled"})


@dataclass(frozen=True)
class Upload:
    """A document that was uploaded.

    Attributes:
        name: as the client gave it, made printable: words, never a path.
        file: ours, in the job's folder.
        title: that the client gave it; empty where the document says its own.
    """

    name: str
    file: str
    title: str = ""


@dataclass(frozen=True)
class Progress:
    """How far the work under way is: a stage in words, and how much of it is done."""

    stage: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        version: that took effect; `pending` waits for approval, and `rejected` was set aside.
        hash: of the weights of whichever it is.
        passages: that were learnt; `sentences` are in them, and `asked` of those have a question in the self-edits.
        questions: that measure it; so many were answered rightly `before` and `after`.
        flags: why documents, self-edits or answers wait for a person.
    """

    version: str = ""
    pending: str = ""
    rejected: str = ""
    hash: str = ""
    passages: int = 0
    asked: int = 0
    sentences: int = 0
    questions: int = 0
    before: int = 0
    after: int = 0
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class LearningJob:
    """Something to learn: documents that were uploaded, files of a watched folder, or feedback.

    Attributes:
        number: jobs are done in the order of these.
        names: of what is learnt, for people.
        who: wants it learnt, for the audit log; empty is whoever runs the server.
        created: in seconds since 1970.
        allowed: the kinds of flags that are let through.
        until: when a limit of the rules allows it, as ISO 8601.
        reason: why it is in its state, where that does not say it all.
        progress: in memory alone.
    """

    id: str
    number: int
    kind: Kind
    names: tuple[str, ...]
    who: str
    created: int
    uploads: tuple[Upload, ...] = ()
    allowed: tuple[str, ...] = ()
    state: State = "queued"
    until: str = ""
    reason: str = ""
    outcome: Outcome = field(default_factory=Outcome)
    progress: Progress = field(default_factory=Progress)

    @property
    def awaits_approval(self) -> bool:
        """Whether a person has to decide about what came of it."""
        return self.state == "waiting" and bool(self.outcome.pending)

    @property
    def holds_up(self) -> bool:
        """Whether others wait for that: what is learnt meanwhile would lie beside it, not on top.

        Feedback only waits where people disagree, and what they agree on is learnt by itself.
        """
        return self.awaits_approval and self.kind != "feedback"
