"""Reads bytes and UTF-8 text from files, and words the errors of it."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from selfedit.errors import NotADocumentError, UserError, nearest

T = TypeVar("T")


def shown(value: object, limit: int = 300) -> str:
    """Return `value` as one printable line of at most `limit` characters, for an error message."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))
    return line if len(line) <= limit else line[: limit - 3] + "..."


def humanised(path: Path) -> str:
    """Return a title made from a file's name: 'cell_biology-notes.md' gives 'Cell biology notes'."""
    title = " ".join(path.stem.replace("_", " ").replace("-", " ").split()) or path.stem
    return title[0].upper() + title[1:]


def sha256(data: bytes) -> str:
    """Return the hex digest."""
    return hashlib.sha256(data).hexdigest()


def nearest_file(path: Path) -> str:
    """Return a sentence on what the folder of a missing path holds instead."""
    try:
        names = [entry.name for entry in path.parent.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return f"The folder {shown(path.parent)} cannot be read either: check the path."
    if not names:
        return f"The folder {shown(path.parent)} is empty: check the path."
    return shown(nearest(path.name, names))


def read_bytes(path: Path) -> bytes:
    """Return the file's bytes. Raises UserError if it cannot be read, NotADocumentError if it is empty."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"There is no file {shown(path)}. {nearest_file(path)}") from error
    except OSError as error:
        if isinstance(error, IsADirectoryError):
            raise UserError(f"{shown(path)} is a folder: name a file.") from error
        reason = error.strerror or str(error)
        raise UserError(f"Cannot read {shown(path)}: {reason}. Check that you may read it (ls -l).") from error
    if not data:
        raise NotADocumentError(f"{shown(path)} is empty: give a file that holds text.")
    return data


def decode(data: bytes, path: Path) -> str:
    """Return UTF-8 `data`, read from `path`, as text without a byte-order mark and with newlines as '\\n'.

    Raises UserError with the byte offset where it is not UTF-8 text, and NotADocumentError if it is only whitespace.
    """
    name, quoted = shown(path), shown(shlex.quote(str(path)))
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(
            f"{name} is UTF-16, not UTF-8 (byte offset 0): convert it with `iconv -f utf-16 -t utf-8 {quoted} > NEW`."
        )
    if (offset := data.find(b"\0")) >= 0:
        raise UserError(f"{name} is binary, not text (NUL at byte offset {offset}): convert it to UTF-8 text first.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name} is not UTF-8 (byte 0x{data[error.start]:02x} at byte offset {error.start}): "
            f"convert it, for example with `iconv -f latin1 -t utf-8 {quoted} > NEW`."
        ) from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise NotADocumentError(f"{name} holds only whitespace: give a file that holds text.")
    return text


def read_json_lines(path: Path, read: Callable[[Any, int], T], form: str) -> list[T]:
    """Return what `read` makes of each line's JSON and number; blank lines are skipped.

    `form` says what a line looks like. Raises UserError naming the line for what is no JSON, and for a ValueError of
    `read`.
    """
    rows = []
    # Not splitlines: JSON strings may hold U+2028 and its like.
    for number, line in enumerate(decode(read_bytes(path), path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            try:
                value = parse_json(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"not JSON ({error.msg} at column {error.colno})") from error
            rows.append(read(value, number))
            if not _is_unicode(value):
                raise ValueError("it holds half of a surrogate pair, which is no character")
        except ValueError as error:
            raise UserError(f"{shown(path)}, line {number}: {shown(error, 160)}. A line looks like {form}.") from error
    return rows


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_json(text: str) -> Any:
    """Return parsed JSON. Raises ValueError (JSONDecodeError where it is no JSON) that says what is wrong."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
