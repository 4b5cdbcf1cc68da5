"""The application: routes, what guards them, and what is kept of each request."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from selfedit.errors import UserError
from selfedit.serve import api, documents, health, lineage, page
from selfedit.serve.errors import ApiError
from selfedit.serve.guard import App, Guard, Message, Receive, Scope, Send
from selfedit.serve.keys import Keys
from selfedit.serve.logs import log
from selfedit.serve.page.render import Renderer
from selfedit.serve.service import Service
from selfedit.serve.sessions import Sessions

_SECURITY = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}


def make_app(service: Service, keys: Keys | None) -> App:
    """The whole application, which starts and stops its service."""
    settings, sessions = service.settings, Sessions()
    renderer = Renderer(service, keys is not None)

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
    app.include_router(page.make_router(service, renderer, keys, sessions))
    for kind, told in _ERRORS.items():
        app.add_exception_handler(kind, _handler(told, renderer))
    return Recorder(Guard(app, keys, sessions, settings.host, settings.limits, renderer.refusal), service)


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
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                own = {b"x-request-id": id.encode(), **_SECURITY}
                message["headers"] = [*given, *((name, value) for name, value in own.items() if name not in names)]
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


def _handler(told: Callable[[Any], ApiError], renderer: Renderer) -> Callable[[Request, Exception], Response]:
    """What answers errors of a kind, as a page or as OpenAI does."""

    def handle(request: Request, error: Exception) -> Response:
        return renderer.problem(request, told(error))

    return handle


def _api_error(error: ApiError) -> ApiError:
    if error.status >= 500:
        log("failed", logging.ERROR, error.__cause__ or error)
    return error


def _user_error(error: UserError) -> ApiError:
    """The store does not allow it, or is not as it should be."""
    return ApiError(409, str(error))


def _invalid(error: RequestValidationError) -> ApiError:
    """What is wrong with a body, without a copy of it."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return ApiError(400, f"The body is not JSON: {first.get('ctx', {}).get('error', 'cannot be read')}.")
    place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))[:200]
    return ApiError(400, f"{place or 'The body'}: {first['msg']}.", place or None)


def _http_error(error: HTTPException) -> ApiError:
    said = {404: "There is nothing at this path.", 405: "This path does not take this method."}
    message = said.get(error.status_code, "The request cannot be read.")
    return ApiError(error.status_code, message, headers=dict(error.headers or {}))


def _fault(_: Exception) -> ApiError:
    """What the client is told; the error itself goes on to `Recorder`."""
    return ApiError(500, "The server has a fault; its log says where.")


_ERRORS: dict[type[Exception], Callable[[Any], ApiError]] = {
    ApiError: _api_error,
    UserError: _user_error,
    RequestValidationError: _invalid,
    HTTPException: _http_error,
    Exception: _fault,
}
