"""Kinds of experiments by name. A new one is one file and one line here; a user's own is `package.module:Class`."""

from __future__ import annotations

from selfedit.domains import load_domain
from selfedit.experiments.kinds.base import ExperimentKind
from selfedit.experiments.kinds.fewshot import FewshotKind
from selfedit.experiments.kinds.knowledge import KnowledgeKind
from selfedit.imports import load_named

KINDS: dict[str, type[ExperimentKind]] = {"knowledge": KnowledgeKind, "fewshot": FewshotKind}

__all__ = ["KINDS", "ExperimentKind", "kind_of"]


def kind_of(domain: str) -> ExperimentKind:
    """The kind that the domain of that name says it is.

    Raises:
        UserError: there is no such domain, or no such kind.
    """
    return load_named(load_domain(domain).kind, "kind of experiment", KINDS, ExperimentKind)()
