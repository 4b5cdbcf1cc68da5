"""Logging in with a key, and the files that a browser needs before and after."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from selfedit.serve.errors import ApiError
from selfedit.serve.keys import Keys
from selfedit.serve.page.render import FILES, HEADERS, TYPES, Renderer, go_to
from selfedit.serve.sessions import COOKIE, SECONDS, Sessions, cookie_id


def make_router(renderer: Renderer, keys: Keys | None, sessions: Sessions) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    async def file(name: str) -> Response:
        if name not in FILES:
            raise ApiError(404, "There is nothing at this path.")
        headers = {"cache-control": "public, max-age=31536000, immutable"}
        return Response(FILES[name], headers=headers, media_type=TYPES[PurePosixPath(name).suffix])

    @router.get("/login")
    async def page() -> Response:
        if keys is None:
            return go_to("/")
        return Response(renderer.text("login.html", wrong=False), headers=HEADERS, media_type="text/html")

    @router.post("/login")
    async def login(request: Request, key: Annotated[str, Form(max_length=1000)] = "") -> Response:
        holder = keys.holder(key.strip()) if keys is not None else None
        if holder is None:
            return Response(renderer.text("login.html", wrong=True), 401, HEADERS, "text/html")
        answer = go_to("/")
        secure = request.url.scheme == "https"
        id = sessions.begin(holder)
        answer.set_cookie(COOKIE, id, max_age=SECONDS, httponly=True, samesite="strict", secure=secure)
        return answer

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        sessions.end(cookie_id(request.headers.get("cookie", "")))
        answer = go_to("/")
        answer.delete_cookie(COOKIE)
        return answer

    return router
