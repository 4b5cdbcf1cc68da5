"""Experiments: the runs of a folder, and the report of each."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response

from selfedit.errors import UserError
from selfedit.experiments.runs import listing
from selfedit.experiments.runs.page import report_page
from selfedit.experiments.runs.records import RunRecords
from selfedit.report import to_sections
from selfedit.serve.errors import ApiError
from selfedit.serve.page.render import Renderer, chart


def make_router(runs: Path, renderer: Renderer) -> APIRouter:
    """The routes.

    Args:
        runs: the folder that the runs are in.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/runs")
    def listed(request: Request) -> Response:
        return renderer.page(request, "runs.html", runs=list(reversed(listing.entries(runs))))

    @router.get("/runs/{id}")
    def run(request: Request, id: str) -> Response:
        try:
            path = listing.find(runs, id)  # Nothing but a listed name becomes part of a path.
        except UserError as error:
            raise ApiError(404, str(error)) from error
        page = report_page(RunRecords(path))
        # Written anew from the records, and never the run's own file, which anything may have been written into.
        return renderer.page(request, "run.html", report=page, sections=chart(to_sections(page)))

    return router
