"""What a person has laid down for a store, and what that lets happen now."""

from __future__ import annotations

from selfedit.rules.files import RulesFiles
from selfedit.rules.limits import LimitError, check_reading, check_update
from selfedit.rules.rules import DriftRules, MarginRules, Rules, read_rules

__all__ = [
    "DriftRules",
    "LimitError",
    "MarginRules",
    "Rules",
    "RulesFiles",
    "check_reading",
    "check_update",
    "read_rules",
]
