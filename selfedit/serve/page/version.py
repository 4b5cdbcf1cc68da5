"""One version in full: what it learnt and from what, what was refused, and what that was worth."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from selfedit.policies.coverage import coverage
from selfedit.report import Point, Series, line_chart
from selfedit.serve.errors import ApiError
from selfedit.serve.page import told
from selfedit.serve.page.render import Renderer
from selfedit.serve.service import Service
from selfedit.store import BASE, document_diffs
from selfedit.store.version_folders import letter_of
from selfedit.types import Version

ASKED_BY = {
    "file": "a question file",
    "documents": "questions that came with the documents",
    "model": "the model itself",
    "feedback": "people who saw its answers",
}

STATES = {"v": "committed", "r": "rejected", "p": "waits for approval"}


def make_router(service: Service, renderer: Renderer) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/versions/{id}")
    def version(request: Request, id: str) -> Response:
        store = service.session.store
        if id not in (*store.ids("v"), *store.ids("r"), *store.ids("p")):
            raise ApiError(404, f"There is no version {id[:20]!r} in this store.")
        version = store.get(id)
        letter = letter_of(id)
        documents = told.documents(version)
        return renderer.page(
            request,
            "version.html",
            version=version,
            state=STATES[letter],
            documents=documents,
            asked=[asked for each in documents for passage in each.passages for asked in passage.questions],
            coverage=coverage(version),
            diffs=document_diffs(store, version) if letter == "p" else [],
            is_current=(version.parent or BASE) == (store.active or BASE),
            asked_by=ASKED_BY[version.probe_source],
            drift={each.of: each for each in store.known_drift(version)},
            loss=_loss(version),
            file_name=told.file_name,
        )

    return router


def _loss(version: Version) -> str:
    """How the loss fell while it was trained."""
    if len(version.losses) < 2:
        return ""
    points = tuple(Point(step, loss) for step, loss in enumerate(version.losses, 1))
    return line_chart(
        [Series("loss", points)], title="Training loss", x_label="optimizer steps", y_label="nats a token"
    )
