"""A folder as a source: what is new in it, what changed, and what is gone."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from selfedit.documents import SUFFIXES
from selfedit.errors import UserError
from selfedit.stream.base import Arrival, Aside, Changed, Clock, Gone, Source
from selfedit.text.reading import nearest_file, shown

MOST_FILES = 100_000
"""Files and folders, of whatever kind, in a folder that is watched: each look takes less than a second or two."""

_LOOK_S = 30.0
"""So often at least is looked: a network's disk may tell nobody of changes."""

_State = tuple[int, int, int]
Wait = Callable[[float], bool]
"""Waits for so many seconds at most; whether something changed."""


class FolderSource(Source):
    """Looks at all files whenever the system says that something changed, so that nothing hangs on what it says.

    As in `learn`, hidden files, other suffixes and links to folders are passed over. A file in the making is seen each
    time that it grows.

    Args:
        store: what lies in it is not learnt.
        wait: for changes.
    """

    def __init__(self, folder: Path, store: Path, wait: Wait, clock: Clock) -> None:
        self.name = str(folder)
        self._folder, self._store, self._wait, self._clock = folder, store.expanduser().resolve(), wait, clock
        check_folder(folder, store)
        self._seen: dict[Path, _State] = {}
        self._broken: dict[str, Aside] = {}
        self._looked: float | None = None
        self._first = list(self._look())

    def poll(self, seconds: float) -> Sequence[Arrival]:
        if self._first:
            first, self._first = self._first, []
            return first
        changed = self._wait(seconds) if seconds > 0 else False
        if changed or self._looked is None or self._clock.seconds() - self._looked >= _LOOK_S:
            return list(self._look())
        return ()

    def _look(self) -> Iterator[Arrival]:
        check_folder(self._folder, self._store)
        found: dict[Path, _State] = {}
        broken: dict[str, Aside] = {}
        for path, status in files(self._folder, self._store):
            if isinstance(status, str):
                broken[str(path)] = _aside(path, status)
            else:
                found[path] = status
        yield from (Changed(path) for path, state in found.items() if self._seen.get(path) != state)
        yield from (Gone(path) for path in self._seen if path not in found and is_gone(path))
        yield from (aside for where, aside in broken.items() if where not in self._broken)
        # What only cannot be looked at for now is not gone.
        hidden = {path: state for path, state in self._seen.items() if path not in found and not is_gone(path)}
        self._seen, self._broken = hidden | found, broken
        self._looked = self._clock.seconds()


def check_folder(folder: Path, store: Path) -> None:
    """Raise UserError unless a folder can be watched for documents."""
    try:
        mode = folder.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"There is no folder {shown(folder)}. {nearest_file(folder)}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {shown(folder)}: {shown(error)}. Check the path.") from None
    if not stat.S_ISDIR(mode):
        raise UserError(f"{shown(folder)} is a file: name its folder, or learn it with 'selfedit learn'.")
    if folder.resolve().is_relative_to(store.expanduser().resolve()):
        raise UserError(f"{shown(folder)} lies in the store {shown(store)}: put documents into a folder of their own.")


def files(folder: Path, store: Path) -> Iterator[tuple[Path, _State | str]]:
    """Every file with documents, with what tells whether it changed, or why it cannot be looked at.

    Raises:
        UserError: there are too many, or the folder cannot be read.
    """
    refused: list[tuple[Path, str]] = []

    def refuse(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise UserError(f"Cannot read the folder {shown(folder)}: {error.strerror}. Check its permissions.")
        refused.append((Path(error.filename), f"Cannot read the folder: {error.strerror}"))

    count = 0
    for root, folders, names in os.walk(folder, onerror=refuse):
        count += len(folders) + len(names)
        if count > MOST_FILES:
            raise UserError(
                f"{shown(folder)} holds more than {MOST_FILES} files and folders: watch one below it, or move out what "
                "is not to be learnt."
            )
        folders[:] = [name for name in folders if not name.startswith(".") and Path(root, name).resolve() != store]
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in SUFFIXES and (status := _status(path)) is not None:
                yield path, status
    yield from refused


def is_gone(path: Path) -> bool:
    """Whether nothing is there; what cannot be looked at is."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _status(path: Path) -> _State | str | None:
    """None for what is no file, or no longer there."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8: rename it"
    try:
        status = path.stat()
    except OSError as error:
        return None if is_gone(path) else f"it cannot be read: {error.strerror}"
    return (status.st_size, status.st_mtime_ns, status.st_ino) if stat.S_ISREG(status.st_mode) else None


def _aside(path: Path, why: str) -> Aside:
    key = hashlib.sha256(os.fsencode(path) + why.encode()).hexdigest()
    return Aside(key, shown(path), why)


def system_wait(folder: Path, store: Path, note: Callable[[str], None]) -> Wait:
    """Waits for what the operating system says of a folder.

    Raises:
        UserError: the package for it is not installed.
    """
    try:
        import watchfiles
    except ImportError:
        raise UserError("Watching a folder needs the package watchfiles: pip install 'selfedit[watch]'.") from None
    own = str(store.expanduser().resolve())

    def foreign(_: watchfiles.Change, path: str) -> bool:
        return not path.startswith(own)

    def changes() -> Iterator[bool]:
        options = {"rust_timeout": 1000, "yield_on_timeout": True, "debounce": 300, "raise_interrupt": True}
        try:
            for found in watchfiles.watch(folder, watch_filter=foreign, **options):  # type: ignore[arg-type]
                yield bool(found)
        except OSError as error:
            note(f"The system does not tell of changes in {folder} ({error}): looked at every {_LOOK_S:g} s.")
        while True:
            time.sleep(1)
            yield False

    waiting = changes()
    return lambda _: next(waiting)
