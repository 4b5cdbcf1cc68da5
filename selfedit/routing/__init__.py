"""Routers by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.imports import load_named
from selfedit.routing.base import Choice, Query, Route, Router
from selfedit.routing.bm25 import Bm25Router
from selfedit.routing.fitted import FittedRouter

ROUTERS: dict[str, type[Router]] = {router.name: router for router in (FittedRouter, Bm25Router)}

__all__ = ["ROUTERS", "Choice", "Query", "Route", "Router", "make_router"]


def make_router(name: str, routes: Sequence[Route]) -> Router:
    """The router of that name, over these routes.

    Raises:
        UserError: there is none; the nearest is suggested.
    """
    return load_named(name, "router", ROUTERS, Router)(routes)
