"""Who has logged in with a browser: a cookie with a random id, which stands for a key as long as the server runs."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie

from selfedit.serve.keys import Holder

COOKIE = "selfedit"
SECONDS = 12 * 3600
"""How long a login holds."""

_MOST = 1_000


class Sessions:
    """Logins, in memory alone: none outlives the server."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[Holder, float]] = OrderedDict()

    def begin(self, holder: Holder) -> str:
        """The id of a new login."""
        id = secrets.token_urlsafe(32)
        self._known[id] = (holder, time.monotonic() + SECONDS)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return id

    def holder(self, id: str) -> Holder | None:
        """Who has logged in; None where there is none such, or it has run out."""
        holder, until = self._known.get(id, (None, 0.0))
        return holder if time.monotonic() < until else None

    def end(self, id: str) -> None:
        """Log out."""
        self._known.pop(id, None)


def cookie_id(header: str) -> str:
    """The id in a request's cookies; empty where there is none."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""
