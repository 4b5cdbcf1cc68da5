"""The application: routes, what guards them, and what is kept of each request."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from selfedit.serve import api, documents, health, lineage
from selfedit.serve.errors import ApiError
from selfedit.serve.guard import App, Guard, Message, Receive, Scope, Send
from selfedit.serve.keys import Keys
from selfedit.serve.logs import log
from selfedit.serve.service import Service

_SECURITY = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


def make_app(service: Service, keys: Keys | None) -> App:
    """The whole application, which starts and stops its service."""
    settings = service.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.stop()

    # No pages of documentation: theirs come from elsewhere. The description itself is at /openapi.json.
    app = FastAPI(title="selfedit", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(api.make_router(service))
    app.include_router(documents.make_router(service))
    app.include_router(lineage.make_router(service))
    app.include_router(health.make_router(service))
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)
    return Recorder(Guard(app, keys, settings.host, settings.limits), service)


class Recorder:
    """An ASGI application around another: a line in the log and figures for each request, and headers for browsers."""

    def __init__(self, app: App, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, id = time.monotonic(), secrets.token_hex(8)
        status = api.GONE
        scope.setdefault("state", {})

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {b"x-request-id": id.encode(), **_SECURITY}
                message["headers"] = [*message.get("headers", ()), *own.items()]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            log("failed", logging.ERROR, error, id=id)
        finally:
            seconds = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "other")  # Never a path that a client made up.
            self._service.metrics.requests.labels(route, str(status)).inc()
            self._service.metrics.seconds.observe(seconds)
            state: dict[str, Any] = scope["state"]
            role = state.get("role")
            log(
                "request",
                id=id,
                route=route,
                status=status,
                role=role.name.lower() if role is not None else None,
                seconds=round(seconds, 4),
                **state.get("told", {}),
            )


def _answer(error: ApiError) -> Response:
    return JSONResponse(error.body, error.status, dict(error.headers))


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    if error.status >= 500:
        log("failed", logging.ERROR, error.__cause__ or error)
    return _answer(error)


async def _invalid(_: Request, error: Exception) -> Response:
    """What is wrong with a body, without a copy of it."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _answer(ApiError(400, f"The body is not JSON: {first.get('ctx', {}).get('error', 'cannot be read')}."))
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))[:200]
    return _answer(ApiError(400, f"{place or 'The body'}: {first['msg']}.", place or None))


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    said = {404: "There is nothing at this path.", 405: "This path does not take this method."}
    message = said.get(error.status_code, "The request cannot be read.")
    return _answer(ApiError(error.status_code, message, headers=dict(error.headers or {})))


async def _fault(_: Request, __: Exception) -> Response:
    """What the client is told; the error itself goes on to `Recorder`."""
    return _answer(ApiError(500, "The server has a fault; its log says where."))
