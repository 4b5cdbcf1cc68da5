"""Routes of what is to be learnt: documents and feedback."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile

from selfedit.serve.errors import ApiError
from selfedit.serve.keys import Role
from selfedit.serve.learning.spool import Given
from selfedit.serve.roles import Asker, Teacher, needs
from selfedit.serve.service import Service
from selfedit.serve.wire import ErrorAnswer
from selfedit.serve.wire_store import (
    DocumentJob,
    DocumentList,
    FeedbackList,
    FeedbackRequest,
    FeedbackTold,
    RetryRequest,
    job_told,
)
from selfedit.store import Feedback

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 403, 404, 408, 409, 413, 415, 429, 500)
}


def make_router(service: Service) -> APIRouter:
    """The routes over a service."""
    router = APIRouter(prefix="/v1", responses=_ERRORS)
    control = service.control

    @router.post("/documents", status_code=202)
    async def upload(
        who: Teacher,
        file: Annotated[list[UploadFile], File(description="The documents, one or several.")],
        questions: Annotated[str, Form(description='Lines {"question": "...", "answer": "..."}.')] = "",
        title: Annotated[str, Form(description="Of the document, where there is one.", max_length=500)] = "",
    ) -> DocumentJob:
        """Have documents learnt. They are on the disk when this is answered; a job is returned."""
        if len(file) > service.settings.limits.files:
            raise ApiError(400, f"At most {service.settings.limits.files} files go together.", "file")
        given = [Given(each.filename or "", await each.read()) for each in file]
        job = await service.apart(lambda: control.upload(given, who, questions.encode(), title))
        return job_told(job)

    @router.get("/documents")
    async def documents(_: Asker) -> DocumentList:
        """All jobs, the newest first."""
        return DocumentList(data=[job_told(job) for job in service.jobs.list()])

    @router.get("/documents/{id}")
    async def document(id: str, _: Asker) -> DocumentJob:
        """One job."""
        return job_told(control.job(id))

    @router.delete("/documents/{id}")
    async def cancel(id: str, _: Teacher) -> DocumentJob:
        """Have a job not done; one in work is given up within a pass over the model."""
        return job_told(await service.apart(lambda: control.cancel(id)))

    @router.post("/documents/{id}/retry", status_code=202)
    async def retry(id: str, body: RetryRequest, http: Request, _: Teacher) -> DocumentJob:
        """Have a job done again that failed, was rejected, or waits. To let flags through needs the role approve."""
        if body.allow_flagged:
            needs(Role.APPROVE)(http)
        return job_told(await service.apart(lambda: control.retry(id, body.allow_flagged)))

    @router.post("/feedback", status_code=201)
    async def give(body: FeedbackRequest, who: Teacher) -> FeedbackTold:
        """Say what is right, or that an answer was wrong."""
        given = Feedback(body.question, body.answer, body.said)
        stored, job = await service.apart(lambda: control.give_feedback(given, who, body.learn))
        return _feedback(stored, None if job is None else job_told(job))

    @router.get("/feedback")
    async def feedback(_: Asker) -> FeedbackList:
        """What people said."""
        return FeedbackList(data=[_feedback(each) for each in await service.apart(control.feedback)])

    return router


def _feedback(each: Feedback, job: DocumentJob | None = None) -> FeedbackTold:
    return FeedbackTold(
        id=each.id,
        question=each.question,
        answer=each.answer,
        said=each.said,
        who=each.who,
        time=each.time,
        job=job,
    )
