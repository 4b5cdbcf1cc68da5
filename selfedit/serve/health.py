"""How the server is: for whoever restarts it, and for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from selfedit.serve.service import Service
from selfedit.serve.wire import Health


def make_router(service: Service) -> APIRouter:
    """The routes over a service."""
    router = APIRouter()

    @router.get("/healthz")
    async def healthz(response: Response) -> Health:
        """Whether it answers; needs no key."""
        alive = service.scheduler.alive
        response.status_code = 200 if alive else 503
        live, waiting = service.scheduler.rows
        return Health(
            status="ok" if alive else "failed",
            model=service.session.model_name,
            active=await service.aside(lambda: service.versions.active),
            read_only=service.settings.read_only,
            rows_live=live,
            rows_waiting=waiting,
        )

    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Figures in Prometheus's text form."""
        return Response(service.metrics.text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
