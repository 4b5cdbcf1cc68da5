"""A store against its audit log: is everything in it what the log says it is?"""

from __future__ import annotations

from collections.abc import Sequence

from selfedit.audit import Entry, Finding
from selfedit.errors import UserError
from selfedit.store.feedback import logged_feedback, sha256
from selfedit.store.lineage import BASE
from selfedit.store.store import Store
from selfedit.store.version_folders import LETTERS


def differences(store: Store) -> list[Finding]:
    """What in a store is not as its log says. Raises UserError when the log cannot be read."""
    entries = store.audit.entries()
    if not entries:
        return []
    return [*_versions(store, entries), *_lineage(store, entries), *_rules(store), *_feedback(store)]


def _versions(store: Store, entries: Sequence[Entry]) -> list[Finding]:
    """Versions, by the hash of all that they say, and their weights."""
    logged: dict[str, tuple[int, str]] = {}
    left = set()
    for entry in entries:
        if entry.action == "began":
            logged |= {id: (entry.number, sha256) for id, sha256 in entry.details.get("versions", {}).items()}
        elif entry.action in ("committed", "forgot", "rejected", "held") and entry.hashes.get("version"):
            logged[entry.subject] = (entry.number, entry.hashes["version"][0])
        left |= {entry.details["was"]} if "was" in entry.details else set()
    findings = []
    there = [id for letter in LETTERS for id in store.ids(letter)]
    for id in there:
        number, sha256 = logged.get(id, (0, ""))
        if not number:
            text = f"{id} is in the store and not in the log: it was put there, or its process was killed just then"
            findings.append(Finding("store", 0, text))
        elif store.sha256(id) != sha256:
            findings.append(Finding("store", number, f"{id} is not what it was at entry {number}"))
        else:
            try:
                store.check_adapter(store.get(id))
            except UserError as error:
                findings.append(Finding("store", number, str(error).rstrip(".")))
    for id, (number, _) in logged.items():
        if id not in there and id not in left:
            findings.append(Finding("store", number, f"{id}, of entry {number}, is gone from the store"))
    return findings


def _lineage(store: Store, entries: Sequence[Entry]) -> list[Finding]:
    """Which version is active."""
    said = [entry for entry in entries if entry.action in ("committed", "forgot", "activated", "rolled back")]
    began = [entry for entry in entries if entry.action == "began"]
    last = said[-1] if said else None
    expected = last.subject if last is not None else str(began[-1].details.get("active", BASE)) if began else BASE
    active = store.active or BASE
    if active == expected:
        return []
    number = last.number if last is not None else 1
    return [Finding("store", number, f"{active} is the active version, and by entry {number} it should be {expected}")]


def _rules(store: Store) -> list[Finding]:
    try:
        store.rules_files.text()
    except UserError as error:
        return [Finding("store", 0, str(error).rstrip("."))]
    return []


def _feedback(store: Store) -> list[Finding]:
    """What people said of answers."""
    logged = logged_feedback(store.audit)
    try:
        there = {each.id: sha256(each) for each in store.feedback.all()}
    except UserError as error:
        return [Finding("store", 0, str(error).rstrip("."))]
    gone = [f"feedback {id} is gone from the store" for id in logged if id not in there]
    other = [f"feedback {id} is not what was said" for id in logged if there.get(id, logged[id]) != logged[id]]
    more = [f"feedback {id} is in the store and not in the log" for id in there if id not in logged]
    return [Finding("store", 0, text) for text in (*gone, *other, *more)]
