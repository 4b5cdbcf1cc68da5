"""Files that are written whole or not at all, and what the operating system says about them in plain words."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selfedit.errors import UserError

PARTIAL = ".partial-"
"""How the names of files that are being written begin."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def exists(path: Path) -> bool:
    """Whether there is a file or folder of that name. A name that cannot be one, as a long list of ids, is none."""
    try:
        return path.exists()
    except OSError:
        return False


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an OSError of reading in `path` into a UserError."""
    try:
        yield
    except IsADirectoryError as error:
        raise UserError(f"{path} is a folder: name a file.") from error
    except OSError as error:
        raise UserError(f"Cannot read {path}: {_reason(error)}. Check the path and its permissions.") from error


@contextmanager
def writing(path: Path, instead: str) -> Iterator[None]:
    """Turn a failure to write in `path` into a UserError; `instead` says what else the user may do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise UserError(f"The disk ran full while writing to {path}. Free some space, or {instead}.") from error
        if isinstance(error, OSError):
            mend = "Make it writable for you" if error.errno in _FORBIDDEN else "Check the path"
            raise UserError(f"Cannot write to {path}: {_reason(error)}. {mend}, or {instead}.") from error
        raise


def is_disk_full(error: Exception) -> bool:
    """Whether an error says that the disk is full, or the user's share of it."""
    # The Rust half of safetensors and a spawned pip say so in words, not in an errno.
    words = ["No space left", *(f"(os error {number})" for number in _FULL)]
    return getattr(error, "errno", None) in _FULL or any(word in str(error) for word in words)


def ensure_space(path: Path, need_bytes: int, instead: str) -> None:
    """Raise UserError unless `need_bytes` are free on the disk of the folder `path`. Raises OSError."""
    free = shutil.disk_usage(path).free
    if free < need_bytes:
        raise UserError(
            f"Not enough disk space in {path}: about {need_bytes / 1e6:.0f} MB are needed and "
            f"{free / 1e6:.0f} MB are free. Free some space, or {instead} on another disk."
        )


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` into `path` in one step, so that nobody ever reads half of it. Raises OSError."""
    partial = path.with_name(f"{PARTIAL}{os.getpid()}-{secrets.token_hex(4)}")
    try:
        partial.write_bytes(data)
        sync(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)


def try_writing(folder: Path) -> None:
    """Raise OSError unless files can be made in an existing folder.

    Permission bits do not tell: root may pass them by, and a read-only disk does not show in them.
    """
    with tempfile.TemporaryFile(dir=folder):
        pass


def sync_folder(folder: Path) -> None:
    """Wait until a flat folder and the files in it are on the disk. Raises OSError."""
    for path in folder.iterdir():
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk. Raises OSError."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open a folder to sync it.
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: OSError) -> str:
    return error.strerror or type(error).__name__
