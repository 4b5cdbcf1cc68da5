"""What a request has to pass before anything reads it: host, where a browser sends it from, key, and size."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from selfedit.serve.errors import ApiError
from selfedit.serve.keys import Holder, Keys, Role
from selfedit.serve.sessions import Sessions, cookie_id
from selfedit.serve.settings import Limits

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Refusal = Callable[[Mapping[str, str], ApiError], tuple[bytes, dict[str, str]]]
"""Body and headers of what is sent in place of an answer, to whoever sends such headers."""

OPEN = frozenset({"/healthz", "/login"})
"""Paths that need no key; and those of files that are the same for everybody, under `_FILES`."""

_FILES = "/static/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

UPLOADS = frozenset({"/v1/documents", "/documents"})
"""Paths whose bodies may be larger, and take longer."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ANYBODY = Holder("", Role.APPROVE)
"""Where there are no keys: known to the audit log as whoever runs the server."""
_UNKNOWN_KEY = "A key that this server knows is needed: send it as 'Authorization: Bearer KEY'."


class Guard:
    """An ASGI application around another one. Answers what may not pass itself; all that is refused looks alike.

    A server that only this machine reaches answers only to this machine's names: else a page in somebody's browser
    could reach it under a name of its own (DNS rebinding). Nor may a page of another site send what changes something,
    which browsers say of it.
    """

    def __init__(
        self, app: App, keys: Keys | None, sessions: Sessions, host: str, limits: Limits, refusal: Refusal
    ) -> None:
        self._app, self._keys, self._limits = app, keys, limits
        self._sessions, self._refusal = sessions, refusal
        self._hosts = _LOOPBACK if host in _LOOPBACK else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            # The key first: without one, nothing else is said.
            holder = self._holder(scope["path"], headers)
            scope.setdefault("state", {}).update(role=holder and holder.role, who=holder.name if holder else "")
            self._check_host(headers.get("host", ""))
            if scope["method"] not in _SAFE:
                _check_site(headers)
            body = await self._body(scope["path"], headers.get("content-length", ""), receive)
        except ApiError as error:
            await _refuse(error, *self._refusal(headers, error), send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    def _check_host(self, header: str) -> None:
        name = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
        if self._hosts is not None and name.strip("[]").lower() not in self._hosts:
            raise ApiError(421, "This server listens to this machine alone, under its own names.")

    def _holder(self, path: str, headers: Mapping[str, str]) -> Holder | None:
        if self._keys is None:
            return _ANYBODY
        scheme, _, key = headers.get("authorization", "").partition(" ")
        by_key, by_login = self._keys.holder(key.strip()), self._sessions.holder(cookie_id(headers.get("cookie", "")))
        holder = by_key if scheme.lower() == "bearer" else by_login
        if holder is None and path not in OPEN and not path.startswith(_FILES):
            raise ApiError(401, _UNKNOWN_KEY, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        return holder

    async def _body(self, path: str, length: str, receive: Receive) -> bytes | None:
        """The whole body; None if the client goes before it has sent it."""
        limits = self._limits
        large = path in UPLOADS
        most = limits.upload_bytes if large else limits.body_bytes
        seconds = limits.upload_seconds if large else limits.body_seconds
        too_large = ApiError(413, f"A request's body has at most {most} bytes.", headers={"Connection": "close"})
        if length.isdecimal() and int(length[:20]) > most:
            raise too_large
        body = bytearray()

        async def read() -> bytes | None:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body.extend(message.get("body", b""))
                if len(body) > most:
                    raise too_large
                if not message.get("more_body", False):
                    return bytes(body)

        try:
            return await asyncio.wait_for(read(), seconds)
        except (asyncio.TimeoutError, TimeoutError):
            message = f"The body did not arrive in {seconds:g} s."
            raise ApiError(408, message, headers={"Connection": "close"}) from None


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body, and then what comes of the connection."""
    left = [body]

    async def again() -> Message:
        if left:
            return {"type": "http.request", "body": left.pop(), "more_body": False}
        return await receive()

    return again


def _check_site(headers: Mapping[str, str]) -> None:
    """Raise ApiError where a browser says that a page of another site sends this. Other programs say nothing."""
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    own = site in ("same-origin", "none") if site else origin.partition("://")[2] == headers.get("host", "")
    if (site or origin) and not own:
        raise ApiError(403, "A page of another site sent this.", code="cross_site")


async def _refuse(error: ApiError, body: bytes, headers: dict[str, str], send: Send) -> None:
    headers = {**headers, "content-length": str(len(body))}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
