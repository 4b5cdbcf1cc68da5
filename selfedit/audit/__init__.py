"""What was done to a store, by whom and when: a log that cannot be changed unseen."""

from __future__ import annotations

from selfedit.audit.actor import ACTOR, checked_actor, default_actor
from selfedit.audit.entry import Action, Entry
from selfedit.audit.head import Head, read_heads, read_kept
from selfedit.audit.log import HEAD_FILE, LOG_FILE, AuditLog
from selfedit.audit.records import keep_head, records_head, verify_records
from selfedit.audit.signing import KEY, KEY_FILE, given_signer, make_key, read_public
from selfedit.audit.trace import Trace, trace
from selfedit.audit.verify import Finding, verify

__all__ = [
    "ACTOR",
    "HEAD_FILE",
    "KEY",
    "KEY_FILE",
    "LOG_FILE",
    "Action",
    "AuditLog",
    "Entry",
    "Finding",
    "Head",
    "Trace",
    "checked_actor",
    "default_actor",
    "given_signer",
    "keep_head",
    "make_key",
    "read_heads",
    "read_kept",
    "read_public",
    "records_head",
    "trace",
    "verify",
    "verify_records",
]
