"""What a person decides: what waits is let take effect or set aside, and versions are made active."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from selfedit.errors import UserError
from selfedit.serve.errors import ApiError
from selfedit.serve.page.render import Renderer, go_to
from selfedit.serve.roles import Approver, Asker
from selfedit.serve.service import Service
from selfedit.store import BASE, Store
from selfedit.store.feedback import LONGEST
from selfedit.types import Version


def make_router(service: Service, renderer: Renderer) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)
    control = service.control

    @router.get("/pending")
    def pending(request: Request, _: Asker) -> Response:
        versions, damaged = _readable(service.session.store)
        return renderer.page(request, "pending.html", versions=versions, damaged=damaged)

    @router.post("/versions/{id}/approve")
    async def approve(id: str, who: Approver, adapter: Annotated[str, Form(max_length=64)]) -> Response:
        made = await service.apart(lambda: control.approve(id, who, adapter))
        return go_to(f"/versions/{made.id}")

    @router.post("/versions/{id}/reject")
    async def reject(id: str, who: Approver, why: Annotated[str, Form(max_length=LONGEST)] = "") -> Response:
        if not why.strip():
            raise ApiError(400, "Say why it is rejected.")
        made = await service.apart(lambda: control.reject(id, why, who))
        return go_to(f"/versions/{made.id}")

    @router.post("/versions/{id}/use")
    async def use(id: str, who: Approver) -> Response:
        await service.apart(lambda: control.use(id, who))
        return go_to("/lineage" if id == BASE else f"/versions/{id}")

    @router.post("/rollback")
    async def rollback(who: Approver) -> Response:
        await service.apart(lambda: control.rollback(1, who))
        return go_to("/lineage")

    return router


def _readable(store: Store) -> tuple[list[Version], dict[str, str]]:
    """What waits, newest first, and what is wrong with what cannot be read."""
    versions, damaged = [], {}
    for id in reversed(store.ids("p")):
        try:
            versions.append(store.head(id))
        except UserError as error:
            damaged[id] = str(error)
    return versions, damaged
