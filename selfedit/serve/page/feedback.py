"""What people say of answers, and what becomes of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from selfedit.learn.corrections import became
from selfedit.serve.errors import ApiError
from selfedit.serve.page.render import Renderer, go_to, is_part
from selfedit.serve.roles import Asker, Teacher
from selfedit.serve.service import Service
from selfedit.store import Feedback
from selfedit.store.feedback import LONGEST


def make_router(service: Service, renderer: Renderer) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    control = service.control

    @router.get("/feedback")
    def page(request: Request, _: Asker) -> Response:
        said = list(reversed(became(service.session.store)))
        return renderer.page(request, "feedback.html", said=said, longest=LONGEST)

    @router.post("/feedback")
    async def give(
        request: Request,
        who: Teacher,
        question: Annotated[str, Form(max_length=4_000)],
        answer: Annotated[str, Form(max_length=LONGEST)] = "",
        said: Annotated[str, Form(max_length=4_000)] = "",
        verdict: Annotated[str, Form(max_length=20)] = "",
    ) -> Response:
        if verdict != "wrong" and not answer.strip():
            raise ApiError(400, "Write the right answer, or say that it was wrong.")
        given = Feedback(question, "" if verdict == "wrong" else answer, said[:LONGEST])
        stored, _ = await service.apart(lambda: control.give_feedback(given, who))
        return renderer.part(request, "noted.html", each=stored) if is_part(request.headers) else go_to("/feedback")

    @router.post("/feedback/learn")
    async def learn(who: Teacher) -> Response:
        await service.apart(lambda: control.learn_feedback(who))
        return go_to("/documents")

    return router
