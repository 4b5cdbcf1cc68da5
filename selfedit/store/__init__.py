"""Versions on disk: each with everything that made it, and the adapters that it knows by."""

from __future__ import annotations

from selfedit.files.journal import Journal
from selfedit.store.approval import DocumentDiff, approve, document_diffs, pending, reject
from selfedit.store.checked import differences
from selfedit.store.feedback import Feedback, parse_feedback, read_feedback
from selfedit.store.lineage import BASE, Activation, ancestors
from selfedit.store.store import MovedError, Store, check_base

__all__ = [
    "BASE",
    "Activation",
    "DocumentDiff",
    "Feedback",
    "Journal",
    "MovedError",
    "Store",
    "ancestors",
    "approve",
    "check_base",
    "differences",
    "document_diffs",
    "parse_feedback",
    "pending",
    "read_feedback",
    "reject",
]
