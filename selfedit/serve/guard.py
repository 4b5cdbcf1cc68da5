"""What a request has to pass before anything reads it: the host that it names, its key, and the size of its body."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from selfedit.serve.errors import ApiError
from selfedit.serve.keys import Keys, Role
from selfedit.serve.settings import Limits

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = frozenset({"/healthz"})
"""Paths that need no key."""

UPLOADS = "/v1/documents"
"""The path whose bodies may be larger, and take longer."""

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_UNKNOWN_KEY = "A key that this server knows is needed: send it as 'Authorization: Bearer KEY'."


class Guard:
    """An ASGI application around another one. Answers what may not pass itself; all that is refused looks alike.

    A server that only this machine reaches answers only to this machine's names: else a page in somebody's browser
    could reach it under a name of its own (DNS rebinding).
    """

    def __init__(self, app: App, keys: Keys | None, host: str, limits: Limits) -> None:
        self._app, self._keys, self._limits = app, keys, limits
        self._hosts = _LOOPBACK if host in _LOOPBACK else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            scope.setdefault("state", {})["role"] = self._role(scope["path"], headers.get(b"authorization", ""))
            scope["state"]["who"] = self._who(headers.get(b"authorization", ""))
            self._check_host(headers.get(b"host", ""))
            body = await self._body(scope["path"], headers.get(b"content-length", ""), receive)
        except ApiError as error:
            await _refuse(error, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    def _check_host(self, header: str) -> None:
        name = header.rpartition(":")[0] if header.rpartition(":")[2].isdigit() else header
        if self._hosts is not None and name.strip("[]").lower() not in self._hosts:
            raise ApiError(421, "This server listens to this machine alone, under its own names.")

    def _role(self, path: str, authorization: str) -> Role | None:
        if self._keys is None:
            return Role.APPROVE
        scheme, _, key = authorization.partition(" ")
        role = self._keys.role(key.strip())
        if path in OPEN:
            return role
        if role is None or scheme.lower() != "bearer":
            raise ApiError(401, _UNKNOWN_KEY, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        return role

    def _who(self, authorization: str) -> str:
        """The name of the holder of a key; empty without one."""
        holder = None if self._keys is None else self._keys.holder(authorization.partition(" ")[2].strip())
        return "" if holder is None else holder.name

    async def _body(self, path: str, length: str, receive: Receive) -> bytes | None:
        """The whole body; None if the client goes before it has sent it."""
        limits = self._limits
        large = path == UPLOADS
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


async def _refuse(error: ApiError, send: Send) -> None:
    headers = {"content-type": "application/json", "content-length": str(len(error.encoded)), **error.headers}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": error.encoded})
