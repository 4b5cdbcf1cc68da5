"""What clients send and get where versions, jobs and feedback are concerned; all of it our own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from selfedit.serve.learning.job import LearningJob, State
from selfedit.serve.wire import Text
from selfedit.store.feedback import LONGEST

_Line = Annotated[Text, Field(max_length=LONGEST)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class JobProgress(BaseModel):
    """How far a job is: a stage in words, and how much of it is done."""

    stage: str
    done: int
    total: int


class FlagTold(BaseModel):
    """Why something waits for a person."""

    kind: str
    title: str
    excerpt: str
    why: str


class JobResult(BaseModel):
    """What came of a job.

    Attributes:
        version, pending, rejected: the id of the version that took effect, waits for approval, or was set aside.
        hash: of its weights.
        coverage: the share of the sentences about which there is a question in the self-edits.
        before, after: so many of the questions were answered rightly.
    """

    version: str | None
    pending: str | None
    rejected: str | None
    hash: str | None
    passages: int
    coverage: float | None
    questions: int
    before: int
    after: int
    flags: list[FlagTold]


class DocumentJob(BaseModel):
    """Something to learn: what was uploaded, files of the watched folder, or feedback.

    Attributes:
        until: a limit of the rules allows it from then on.
        reason: why it is in its state, where there is more to say.
    """

    id: str
    object: Literal["document"] = "document"
    kind: Literal["documents", "folder", "feedback"]
    filename: str
    filenames: list[str]
    state: State
    reason: str
    until: str | None
    progress: JobProgress
    created: int
    who: str
    result: JobResult | None


class DocumentList(BaseModel):
    """All of them, the newest first."""

    object: Literal["list"] = "list"
    data: list[DocumentJob]


class RetryRequest(_Asked):
    """Kinds of flags to let through, by the names of their guards."""

    allow_flagged: Annotated[list[_Line], Field(max_length=50)] = []


class FeedbackRequest(_Asked):
    """What is right, or that an answer was wrong; `said` is what was answered. With `learn` it is learnt now."""

    question: _Line
    answer: _Line = ""
    wrong: bool = False
    said: _Line = ""
    learn: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> FeedbackRequest:
        if bool(self.answer.strip()) == self.wrong:
            raise ValueError("give the right 'answer', or 'wrong': true")
        return self


class FeedbackTold(BaseModel):
    """Feedback as it is stored."""

    id: str
    object: Literal["feedback"] = "feedback"
    question: str
    answer: str
    said: str
    who: str
    time: str
    job: DocumentJob | None = None


class FeedbackList(BaseModel):
    """All of it, the oldest first."""

    object: Literal["list"] = "list"
    data: list[FeedbackTold]


class VersionTold(BaseModel):
    """A version as a list has it; accuracies are shares of its questions."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["version"] = "version"
    active: bool
    created: str
    parent: str | None
    documents: list[Any]
    base_accuracy: float
    adapted_accuracy: float


class VersionList(BaseModel):
    """All of them, the oldest first."""

    object: Literal["list"] = "list"
    active: str
    data: list[VersionTold]


class PendingList(BaseModel):
    """What waits for approval, the oldest first, as `selfedit pending --json` has it."""

    object: Literal["list"] = "list"
    data: list[dict[str, Any]]


class RollbackRequest(_Asked):
    """By how many versions to go back."""

    steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class ApproveRequest(_Asked):
    """The beginning of the hash of the weights that were looked at; empty does not ask."""

    adapter: Annotated[Text, Field(max_length=64)] = ""


class RejectRequest(_Asked):
    """Why."""

    why: Annotated[_Line, Field(min_length=1)]


class Activated(BaseModel):
    """Which version is the active one now; of an approval, what it was called before."""

    object: Literal["version.activated"] = "version.activated"
    active: str
    was: str | None = None


class Rejected(BaseModel):
    """As what a version was set aside."""

    object: Literal["version.rejected"] = "version.rejected"
    id: str
    was: str
    why: str


def job_told(job: LearningJob) -> DocumentJob:
    """A job as clients get it."""
    made, progress = job.outcome, job.progress
    id = made.version or made.pending or made.rejected
    result = JobResult(
        version=made.version or None,
        pending=made.pending or None,
        rejected=made.rejected or None,
        hash=made.hash or None,
        passages=made.passages,
        coverage=made.asked / made.sentences if made.sentences else None,
        questions=made.questions,
        before=made.before,
        after=made.after,
        flags=[FlagTold(kind=f.kind, title=f.title, excerpt=f.excerpt, why=f.why) for f in made.flags],
    )
    return DocumentJob(
        id=job.id,
        kind=job.kind,
        filename=", ".join(job.names),
        filenames=list(job.names),
        state=job.state,
        reason=job.reason,
        until=job.until or None,
        progress=JobProgress(stage=progress.stage, done=progress.done, total=progress.total),
        created=job.created,
        who=job.who,
        result=result if id or made.flags or made.passages else None,
    )
