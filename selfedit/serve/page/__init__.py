"""The page for people: what was learnt, from what, and what it was worth; to try, to approve and to undo.

One file a page, each with a template of its name. Templates are rendered here, so that all of it can be read without
JavaScript; htmx, one file of others in `static`, puts parts of pages in place where there is.
"""

from __future__ import annotations

from fastapi import APIRouter

from selfedit.serve.keys import Keys
from selfedit.serve.page import approval, chat, documents, feedback, lineage, login, runs, version
from selfedit.serve.page.render import Renderer
from selfedit.serve.service import Service
from selfedit.serve.sessions import Sessions


def make_router(service: Service, renderer: Renderer, keys: Keys | None, sessions: Sessions) -> APIRouter:
    """The routes of all pages."""
    router = APIRouter()
    router.include_router(login.make_router(renderer, keys, sessions))
    router.include_router(runs.make_router(service.settings.runs, renderer))
    for each in (chat, lineage, version, documents, approval, feedback):
        router.include_router(each.make_router(service, renderer))
    return router
