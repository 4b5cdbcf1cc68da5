"""What the rules of a store say of documents that are to be read and of a version that is to take effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selfedit.audit import AuditLog
from selfedit.errors import NotAllowedError, UserError
from selfedit.rules import LimitError, Rules, RulesFiles, check_reading, check_update
from selfedit.store.feedback import DISAGREEMENT
from selfedit.store.version_folders import Letter, letter_of
from selfedit.text.reading import shown
from selfedit.types import DocumentRef, Version


class Admission:
    """Looks at the rules and the log, and says in the log what it did not let pass. Call it under the store's lock.

    Args:
        home: the folder that the store is in.
    """

    def __init__(self, rules: RulesFiles, audit: AuditLog, home: Path) -> None:
        self._rules, self._audit, self._home = rules, audit, home

    def documents(self, documents: Sequence[DocumentRef], tokens: Sequence[int]) -> None:
        """Say that documents are read.

        Args:
            tokens: of each.

        Raises:
            LimitError: the rules do not let them be read, or not now.
        """
        rules = self._rules.read()
        with self._said("read", {"document": [document.sha256 for document in documents]}):
            check_folders(rules, [document.path for document in documents], self._home)
            check_reading(rules, self._audit, dict(zip((d.sha256 for d in documents), tokens, strict=True)))
        self._audit.record(
            "read",
            hashes={"document": [document.sha256 for document in documents]},
            tokens=list(tokens),
            paths=[document.path for document in documents],
        )

    def version(self, version: Version) -> Letter:
        """Where a version goes that the gates let through: it takes effect, or waits for approval.

        Forgetting is never held back: whoever wants something gone wants it gone. Where people disagree about an
        answer, it waits whatever the rules say.

        Raises:
            LimitError: the rules allow no update now.
            UserError: the version was made under less strict rules.
        """
        rules = self._rules.read()
        if version.action == "forget":
            return "v"
        check_parent(version.parent)
        check_margins(rules, version)
        disputed = any(flag.kind == DISAGREEMENT for flag in version.flags)
        if disputed or rules.approval == "always" or (rules.approval == "flagged" and version.flags):
            return "p"
        self.update()
        return "v"

    def update(self) -> None:
        """Raise LimitError unless one more update may take effect now."""
        with self._said("update", {}):
            check_update(self._rules.read(), self._audit)

    def approver(self) -> None:
        """Raise NotAllowedError unless whoever acts may approve, reject and change the rules."""
        approvers = self._rules.approvers()
        if approvers is not None and self._audit.actor not in approvers:
            raise NotAllowedError(
                f"{self._audit.actor} may not do this: the rules of this store name {', '.join(approvers)}. "
                "Say who you are with --actor."
            )

    @contextmanager
    def _said(self, what: str, hashes: Mapping[str, Sequence[str]]) -> Iterator[None]:
        try:
            yield
        except LimitError as error:
            until = None if error.until is None else error.until.isoformat()
            self._audit.record("limit hit", what, hashes=hashes, why=str(error), until=until)
            raise


def check_folders(rules: Rules, paths: Sequence[str], home: Path) -> None:
    """Raise LimitError unless all documents lie where the rules let them be learnt from."""
    for path in paths:
        if not rules.allows(path, home):
            assert rules.folders is not None
            raise LimitError(
                f"The rules of this store do not let {shown(path)} be learnt: it lies in none of the folders "
                f"{', '.join(map(shown, rules.folders))}."
            )


def check_parent(id: str | None) -> None:
    """Raise UserError unless what a version builds on took effect itself; None is the base."""
    if id is not None and letter_of(id) != "v":
        what = "was rejected" if letter_of(id) == "r" else "waits for approval"
        raise UserError(f"{id} {what}, so that nothing may build on it. Name a version that took effect.")


def check_margins(rules: Rules, version: Version) -> None:
    """Raise UserError unless a version passed the gates that the rules demand, within their margins."""
    settings: Mapping[str, Any] = version.settings
    gates, margins = settings.get("gates", ()), settings.get("margins", {})
    for name, most in rules.margins.given.items():
        if name not in gates or not margins.get(name, float("inf")) <= most:
            raise UserError(
                f"The rules of this store demand the gate '{name}' with a margin of {most:g}, and this update was made "
                "under others. Run the same command again: what was trained is kept."
            )
    for name, most in rules.drift.model_dump(exclude_none=True).items():
        given = (settings.get("drift") or {}).get(name)
        if "drift" not in gates or given is None or given > most:
            raise UserError(
                f"The rules of this store limit drift ({name} {most:g}), and this update was made under others. Run "
                "the same command again: what was trained is kept."
            )
