"""The rules in a store: a file named by its hash, which the audit log says is in force."""

from __future__ import annotations

import hashlib
from pathlib import Path

from selfedit.audit import AuditLog
from selfedit.errors import UserError
from selfedit.files.disk import reading, write_whole
from selfedit.rules.rules import Rules, read_rules


class RulesFiles:
    """The rules that are in force, and those that were: a change is one line of the log.

    Args:
        path: the folder of them.
        log: of the same store.
    """

    def __init__(self, path: Path, log: AuditLog) -> None:
        self._path, self._log = path, log

    def text(self) -> bytes:
        """The rules in force as they were written; empty where there are none.

        Raises:
            UserError: they were changed or removed by other means than `selfedit rules`.
        """
        sha256 = self._log.rules
        if not sha256:
            return b""
        file = self._path / f"{sha256}.yaml"
        mend = "Put it back from a backup, or set the rules anew with 'selfedit rules set FILE'."
        if not file.is_file():
            raise UserError(f"{file}, the rules of this store, is gone. {mend}")
        with reading(file):
            data = file.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise UserError(f"{file} was changed otherwise than by 'selfedit rules set'. {mend}")
        return data

    def read(self) -> Rules:
        """The rules in force. Raises UserError as `text` does."""
        data = self.text()
        return read_rules(data, "the rules of this store") if data else Rules()

    def approvers(self) -> tuple[str, ...] | None:
        """Who may approve and change rules, by the log, which has it even where the file is gone; None is anybody."""
        changes = (entry for entry in reversed(self._log.entries()) if entry.action == "setting changed")
        named = next((entry.details["now"].get("approvers") for entry in changes if "now" in entry.details), None)
        return None if named is None else tuple(named)

    def set(self, data: bytes, name: str, home: Path) -> Rules:
        """Put other rules in force, and return them. Call it under the store's lock.

        Raises:
            UserError: they are none, or can never be met.
            OSError: they cannot be written.
        """
        rules = read_rules(data, name, home)
        sha256 = hashlib.sha256(data).hexdigest()
        self._path.mkdir(exist_ok=True)
        write_whole(self._path / f"{sha256}.yaml", data)
        before = self._log.rules
        hashes = {"rules": [sha256], **({"rules before": [before]} if before else {})}
        said = rules.model_dump(mode="json", exclude_defaults=True)
        self._log.record("setting changed", "rules", hashes=hashes, rules=sha256, now=said)
        return rules
