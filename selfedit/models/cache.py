"""The cache of models that selfedit makes itself: made once, whole or not at all, by one process at a time."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from selfedit.errors import UserError
from selfedit.files.disk import is_disk_full, sync, sync_folder
from selfedit.progress import Progress

MANIFEST = "manifest.json"


def complete(folder: Path) -> bool:
    """Whether `folder` holds a finished model. Folders appear under their name only when they are finished."""
    return (folder / MANIFEST).is_file()


def make_once(target: Path, build: Callable[[Path], Path], *, needs_bytes: int, progress: Progress) -> Path:
    """Return `target`, made by `build` unless it is there already.

    `build` gets an empty scratch folder on the same disk and returns the folder, inside of it, that becomes
    `target` in one atomic step. Of several processes one builds and the others wait for it. `needs_bytes` of
    disk must be free. Raises UserError on a full disk or a folder that cannot be written.
    """
    if complete(target):
        return target
    with _explained(target, needs_bytes):
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target, progress):
            # Another process may have made it while this one waited.
            if not complete(target):
                _build(target, build, needs_bytes)
    return target


def _build(target: Path, build: Callable[[Path], Path], needs_bytes: int) -> None:
    prefix = f".{target.name}.partial-"
    # Whoever holds the lock is alone, so that every scratch folder found here belongs to a dead process.
    for stale in [*target.parent.glob(f"{prefix}*"), target]:
        shutil.rmtree(stale, ignore_errors=True)
    free = shutil.disk_usage(target.parent).free
    if free < needs_bytes:
        raise UserError(_disk_message(target, needs_bytes, f"{free / 1e6:.0f} MB are free"))
    scratch = target.parent / f"{prefix}{os.getpid()}-{secrets.token_hex(4)}"
    scratch.mkdir()
    try:
        finished = build(scratch)
        sync_folder(finished)
        finished.rename(target)
        sync(target.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _locked(target: Path, progress: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(target.parent / f".{target.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.note(f"Another process is preparing {target.name}; waiting for it.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _explained(target: Path, needs_bytes: int) -> Iterator[None]:
    """Turn what the operating system says about the cache folder into a UserError."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise UserError(_disk_message(target, needs_bytes, "the disk ran full")) from error
        if isinstance(error, OSError) and error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}:
            raise UserError(
                f"Cannot write to the cache folder {target.parent}: {error.strerror}. "
                "Set SELFEDIT_HOME to a folder that you may write to."
            ) from error
        raise


def _disk_message(target: Path, needs_bytes: int, what: str) -> str:
    return (
        f"Not enough disk space to prepare {target.name} in {target.parent}: {what} and it needs about "
        f"{needs_bytes / 1e6:.0f} MB. Free some space, or set SELFEDIT_HOME to a folder on another disk."
    )
