"""What a stream remembers in its store: what is being learnt, and what was set aside. All else the store knows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from selfedit.errors import UserError, nearest
from selfedit.files.disk import reading
from selfedit.files.journal import Journal, read_records
from selfedit.files.serialize import decode, encode
from selfedit.stream.base import Aside, Item
from selfedit.stream.inbox import Inbox
from selfedit.text.reading import shown

_FOLDER, _JOURNAL = "stream", "state"
_INSTEAD = "use another --store"


@dataclass(frozen=True)
class Batch:
    """What is being learnt: the same after a kill, so that its work is found again.

    Attributes:
        held: the id under which it waits for approval; empty where it does not.
    """

    items: tuple[Item, ...] = ()
    held: str = ""

    @property
    def paths(self) -> list[Path]:
        return [Path(item.path) for item in self.items]


class State:
    """Written by one process at a time, each change on the disk before it counts.

    Attributes:
        inbox: of documents that came as lines.

    Raises:
        UserError: another process streams into this store, or it cannot be written.
    """

    def __init__(self, store: Path) -> None:
        store = store.expanduser().resolve()
        self._journal = Journal.open(store / _FOLDER / _JOURNAL, _INSTEAD)
        self.inbox = Inbox(store / _FOLDER / "inbox")

    def close(self) -> None:
        """Let other processes have it."""
        self._journal.close()

    @property
    def batch(self) -> Batch:
        """Empty where nothing is being learnt."""
        return self._journal.get("batch", "now", Batch) or Batch()

    @batch.setter
    def batch(self, batch: Batch) -> None:
        self._journal.put("batch", "now", batch)

    def aside(self, key: str) -> Aside | None:
        """What was set aside under that key, if it is still."""
        found = self._journal.get("aside", key, Aside)
        return found if found is not None and found.why else None

    def set_aside(self, aside: Aside) -> None:
        """Remember that something cannot be learnt, and why."""
        self._journal.put("aside", aside.key, aside)

    def together(self, item: Item, most: int) -> int:
        """With how many others at most a file may be learnt, itself counted."""
        return min(most, self._journal.get("together", key_of(item), int) or most)

    def part(self, items: Sequence[Item], together: int) -> None:
        """Say that files are to be learnt with fewer others."""
        for item in items:
            self._journal.put("together", key_of(item), together)

    def forgotten(self, path: str, sha256: str) -> bool:
        """Whether a document was forgotten since its file was gone: where that is back, it is new."""
        return self._journal.get("forgotten", path, str) == sha256

    def set_forgotten(self, path: str, sha256: str) -> None:
        """Remember that a document was forgotten, or with an empty hash that it is known again."""
        if sha256 or self._journal.get("forgotten", path, str):
            self._journal.put("forgotten", path, sha256)

    def retry(self, keys: Sequence[str]) -> list[Aside]:
        """Let what was set aside be tried again: all, or what has these keys or keys that begin so.

        Raises:
            UserError: there is nothing of such a key.
        """
        known = {aside.key: aside for aside in map(self.aside, self._journal.keys("aside")) if aside is not None}
        chosen = [_chosen(key, known) for key in keys] if keys else list(known.values())
        for aside in chosen:
            self._journal.put("aside", aside.key, replace(aside, why=""))
        return chosen


def read_asides(store: Path) -> list[Aside]:
    """What was set aside, oldest first, also while another process streams. Raises UserError where it is unreadable."""
    path = store.expanduser() / _FOLDER / _JOURNAL / "journal.jsonl"
    if not path.exists():
        return []
    with reading(path):
        records, _ = read_records(path.read_bytes())
    found = [decode(Aside, encode(value)) for (kind, _), value in records.items() if kind == "aside"]
    return [aside for aside in found if aside.why]


def key_of(item: Item) -> str:
    """Equal for files that say the same."""
    return hashlib.sha256("".join(document.sha256 for document in item.documents).encode()).hexdigest()


def _chosen(key: str, known: dict[str, Aside]) -> Aside:
    found = [aside for each, aside in known.items() if each.startswith(key)]
    if len(found) != 1:
        what = "Several things were" if found else "Nothing was"
        raise UserError(f"{what} set aside as '{shown(key, 80)}'. {nearest(key, [each[:12] for each in known])}")
    return found[0]
