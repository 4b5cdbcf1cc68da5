"""Routes of versions: what there is, which one is active, and what waits for approval."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from selfedit.files.serialize import encode
from selfedit.serve.roles import Approver, Asker
from selfedit.serve.service import Service
from selfedit.serve.wire import ErrorAnswer
from selfedit.serve.wire_store import (
    Activated,
    ApproveRequest,
    PendingList,
    Rejected,
    RejectRequest,
    RollbackRequest,
    VersionList,
    VersionTold,
)
from selfedit.store import told
from selfedit.types import Version

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (400, 401, 403, 404, 408, 409, 413, 429, 500)
}


def make_router(service: Service) -> APIRouter:
    """The routes over a service."""
    router = APIRouter(prefix="/v1", responses=_ERRORS)
    control = service.control

    @router.get("/versions")
    async def versions(_: Asker) -> VersionList:
        """All that took effect, the oldest first."""
        heads, active = await service.apart(lambda: (control.versions(), control.active))
        data = [VersionTold(**told.listed(head), active=head.id == active) for head in heads]
        return VersionList(active=active, data=data)

    @router.get("/versions/{id}", response_model=VersionTold)
    async def version(id: str, _: Asker) -> Response:
        """All that made one, whatever became of it; of one that waits, also what its documents say anew."""

        def read() -> dict[str, Any]:
            found, active = control.version(id), control.active
            return _in_full(found, active) | ({"pending": _held(found)} if found.id.startswith("p") else {})

        def _held(found: Version) -> dict[str, Any]:
            return told.held_in_full(found, control.differences(found))

        return _json(await service.apart(read))

    @router.post("/versions/rollback")
    async def rollback(body: RollbackRequest, who: Approver) -> Activated:
        """Make a version active that lies below the active one."""
        return Activated(active=await service.apart(lambda: control.rollback(body.steps, who)))

    @router.post("/versions/{id}/use")
    async def use(id: str, who: Approver) -> Activated:
        """Make a version, or `base`, the active one; it answers from the next request on."""
        return Activated(active=await service.apart(lambda: control.use(id, who)))

    @router.get("/pending", response_model=PendingList)
    async def pending(_: Asker) -> Response:
        """What waits for approval."""
        heads = await service.apart(lambda: control.versions("p"))
        return _json({"object": "list", "data": [told.held(head) for head in heads]})

    @router.post("/versions/{id}/approve")
    async def approve(id: str, who: Approver, body: ApproveRequest | None = None) -> Activated:
        """Let what waits take effect: these very weights."""
        made = await service.apart(lambda: control.approve(id, who, body.adapter if body is not None else ""))
        return Activated(active=made.id, was=id)

    @router.post("/versions/{id}/reject")
    async def reject(id: str, body: RejectRequest, who: Approver) -> Rejected:
        """Set aside what waits; it never takes effect."""
        made = await service.apart(lambda: control.reject(id, body.why, who))
        return Rejected(id=made.id, was=id, why=made.rejected)

    return router


def _in_full(version: Version, active: str) -> dict[str, Any]:
    return told.in_full(version) | {"object": "version", "active": version.id == active}


def _json(value: Any) -> Response:
    """Read back by anybody exactly as it is stored."""
    return Response(encode(value), media_type="application/json")
