"""What there is to learn: documents are uploaded, jobs are watched, and what is known is listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from selfedit.documents import SUFFIXES
from selfedit.errors import UserError
from selfedit.serve.errors import ApiError
from selfedit.serve.learning.job import ENDED, LearningJob
from selfedit.serve.learning.spool import Given
from selfedit.serve.page.render import Renderer, go_to
from selfedit.serve.page.told import file_name
from selfedit.serve.roles import Approver, Asker, Teacher
from selfedit.serve.service import Service
from selfedit.store import Store

_SHOWN = 50
"""Jobs of a list, the newest first."""


@dataclass(frozen=True)
class Known:
    """A document that the active version knows: how many passages of it, and which versions learnt them."""

    title: str
    file: str
    passages: int
    versions: tuple[str, ...]


def make_router(service: Service, renderer: Renderer) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    control = service.control

    @router.get("/documents")
    def page(request: Request, _: Asker) -> Response:
        suffixes = ",".join(sorted(SUFFIXES))
        jobs = service.jobs.list()[:_SHOWN]
        known, damage = _known(service.session.store)
        return renderer.page(request, "documents.html", suffixes=suffixes, known=known, damage=damage, **_watched(jobs))

    @router.get("/jobs")
    def jobs(request: Request, _: Asker) -> Response:
        return renderer.part(request, "jobs.html", **_watched(service.jobs.list()[:_SHOWN]))

    @router.post("/documents")
    async def upload(
        who: Teacher,
        file: Annotated[list[UploadFile], File()],
        questions: Annotated[str, Form()] = "",
        title: Annotated[str, Form(max_length=500)] = "",
    ) -> Response:
        if len(file) > service.settings.limits.files:
            raise ApiError(400, f"At most {service.settings.limits.files} files go together.")
        given = [Given(each.filename, await each.read()) for each in file if each.filename]
        if not given:
            raise ApiError(400, "Choose a file first.")
        await service.apart(lambda: control.upload(given, who, questions.encode(), title))
        return go_to("/documents")

    @router.post("/jobs/{id}/cancel")
    async def cancel(id: str, _: Teacher) -> Response:
        await service.apart(lambda: control.cancel(id))
        return go_to("/documents")

    @router.post("/jobs/{id}/retry")
    async def retry(id: str, _: Teacher) -> Response:
        await service.apart(lambda: control.retry(id))
        return go_to("/documents")

    @router.post("/jobs/{id}/allow")
    async def allow(id: str, _: Approver) -> Response:
        kinds = list(dict.fromkeys(flag.kind for flag in control.job(id).outcome.flags))
        await service.apart(lambda: control.retry(id, kinds))
        return go_to("/documents")

    return router


def _watched(jobs: Sequence[LearningJob]) -> dict[str, object]:
    """Jobs for a template, and whether more will come of any of them."""
    return {"jobs": jobs, "moving": any(job.state not in ENDED and not job.awaits_approval for job in jobs)}


def _known(store: Store) -> tuple[list[Known], str]:
    """What the active version knows, and what is wrong with it where that cannot be read."""
    if (active := store.active) is None:
        return [], ""
    try:
        knowledge = store.get(active).knowledge
    except UserError as error:
        return [], str(error)
    found = []
    for document in knowledge.documents:
        items = [item for item in knowledge.learnt if item.document == document]
        versions = tuple(dict.fromkeys(item.version for item in items if item.version))
        found.append(Known(document.title, file_name(document.path), len(items), versions))
    return found, ""
