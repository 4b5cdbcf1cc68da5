"""Figures of a running server, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_PAUSES = (0.001, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2)


class Metrics:
    """Counters of one server.

    Args:
        rows: how many rows are live, and how many wait.
    """

    def __init__(self, rows: Callable[[], tuple[int, int]]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "selfedit_requests", "Requests, by route and status.", ("route", "status"), registry=self._registry
        )
        self.answers = Counter("selfedit_answers", "Answers, by version.", ("version",), registry=self._registry)
        self.tokens = Counter("selfedit_tokens", "Tokens read and written.", ("kind",), registry=self._registry)
        self.seconds = Histogram(
            "selfedit_request_seconds", "From a request to its end.", registry=self._registry, buckets=_SECONDS
        )
        self.first_token = Histogram(
            "selfedit_first_token_seconds",
            "From a request to the first token that is certain.",
            registry=self._registry,
            buckets=_SECONDS,
        )
        self.jobs = Counter(
            "selfedit_jobs", "Jobs of learning, by kind and how each ended.", ("kind", "state"), registry=self._registry
        )
        self.pauses = Histogram(
            "selfedit_learning_pause_seconds",
            "For which a step of the answers waited for learning.",
            registry=self._registry,
            buckets=_PAUSES,
        )
        for place, name in enumerate(("live", "waiting")):
            gauge = Gauge(f"selfedit_rows_{name}", f"Sequences that are {name}.", registry=self._registry)
            gauge.set_function(lambda place=place: float(rows()[place]))  # type: ignore[misc]

    @property
    def text(self) -> bytes:
        """All of them, in Prometheus's text form."""
        return generate_latest(self._registry)
