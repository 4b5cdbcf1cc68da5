"""The tree of versions, and what each update did to the rest, over the lineage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from selfedit.errors import UserError
from selfedit.gates.paired import points
from selfedit.learn.drift import drawn as drawn_drift
from selfedit.report import Point, Series, line_chart
from selfedit.serve.page import graph
from selfedit.serve.page.render import Renderer
from selfedit.serve.service import Service
from selfedit.store import BASE, Store, ancestors
from selfedit.types import Version

_ON_THE_REST = ("general", "retained", "keep")
"""Gates that compare answers about what is not new."""


@dataclass(frozen=True)
class Node:
    """A line of the tree, with what it is about: a version, what is wrong with one, or neither for the base."""

    line: graph.Line
    head: Version | None = None
    damage: str = ""


def make_router(service: Service, renderer: Renderer) -> APIRouter:
    """The routes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/lineage")
    def lineage(request: Request) -> Response:
        store = service.session.store
        nodes = tree(store)
        path = _active_path([node.head for node in nodes if node.head is not None], store.active)
        charts = [chart for chart in (_accuracy(path), _rest(path), _drift(store, path)) if chart]
        return renderer.page(request, "lineage.html", nodes=nodes, x_of=graph.x_of, charts=charts)

    return router


def tree(store: Store) -> list[Node]:
    """All versions, newest first, and the base; one that is damaged says so and does not hide the others."""
    heads: dict[str, Version] = {}
    damaged: dict[str, str] = {}
    for id in (*store.ids("v"), *store.ids("r"), *store.ids("p")):
        try:
            heads[id] = store.head(id)
        except UserError as error:
            damaged[id] = str(error)
    order = sorted([*heads, *damaged], key=_order(heads))
    parents = [(id, (heads[id].parent if id in heads else None) or BASE) for id in order]
    return [Node(line, heads.get(line.id), damaged.get(line.id, "")) for line in graph.lines(parents)]


def _order(heads: dict[str, Version]) -> Callable[[str], tuple[str, bool, int]]:
    """By when they were made; of one second, what took effect before what builds on it."""
    return lambda id: (heads[id].created if id in heads else "", not id.startswith("v"), int(id[1:]))


def _active_path(heads: Sequence[Version], active: str | None) -> list[Version]:
    """The active version and those that it builds on, oldest first."""
    known = {head.id: head for head in heads}
    ids = ancestors(heads, active) if active is not None else []
    return [known[id] for id in reversed(ids) if id in known]


def _accuracy(path: Sequence[Version]) -> str:
    """What each version's own questions were answered before and after it."""
    asked = [(place, head) for place, head in enumerate(path, 1) if head.questions]
    if len(asked) < 2:
        return ""
    before = tuple(Point(place, 100 * head.base_accuracy, label=head.id) for place, head in asked)
    after = tuple(Point(place, 100 * head.adapted_accuracy, label=head.id) for place, head in asked)
    series = [Series("after", after), Series("before", before)]
    return line_chart(
        series, title="Questions about what was new", x_label="versions of the lineage", y_label="right, in per cent"
    )


def _rest(path: Sequence[Version]) -> str:
    """What each update did to answers about everything else, as its gates saw it."""
    series = []
    for gate in _ON_THE_REST:
        seen = [
            Point(place, change, label=head.id)
            for place, head in enumerate(path, 1)
            for figure in head.gates
            if figure.gate == gate and (change := points(figure.text)) is not None
        ]
        if seen:
            base = [Point(0, 0.0, label=BASE)] if gate == "general" else []  # Which is held against the base.
            series.append(Series(gate, (*base, *seen)))
    if not series:
        return ""
    return line_chart(
        series,
        title="What is not new: the general set, and what was learnt before",
        x_label="versions of the lineage",
        y_label="change, in points",
    )


def _drift(store: Store, path: Sequence[Version]) -> str:
    """How far each version is from the base on the fixed prompts, where that was measured."""
    measured = [(head, store.known_drift(head)) for head in path]
    return drawn_drift(measured) if any(figures for _, figures in measured) else ""
