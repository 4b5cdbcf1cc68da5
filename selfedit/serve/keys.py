"""Who may do what: keys with roles, in a file that nobody else can read."""

from __future__ import annotations

import hashlib
import hmac
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from selfedit.audit import checked_actor
from selfedit.errors import UserError, nearest
from selfedit.files.disk import reading

_SHORTEST = 16
"""Characters of a key: a shorter one can be guessed."""


class Role(IntEnum):
    """What somebody may do; each may do what those before it may."""

    ASK = 1
    TEACH = 2
    APPROVE = 3


@dataclass(frozen=True)
class Holder:
    """Whose a key is: by what name the audit log knows whoever uses it, and what they may do."""

    name: str
    role: Role


@dataclass(frozen=True)
class _Entry:
    digest: bytes
    holder: Holder


class Keys:
    """The keys that are known. Only their hashes stay in memory."""

    def __init__(self, entries: Sequence[tuple[Role, str] | tuple[Role, str, str]]) -> None:
        self._entries = [_Entry(_digest(key), Holder(_name(role, key, *name), role)) for role, key, *name in entries]

    def role(self, key: str) -> Role | None:
        """The role of a key; None for one that is unknown."""
        holder = self.holder(key)
        return None if holder is None else holder.role

    def holder(self, key: str) -> Holder | None:
        """Whose a key is; None for one that is unknown.

        Every known key is compared, each in constant time, so that the time says nothing of which came close.
        """
        given, holder = _digest(key), None
        for entry in self._entries:
            if hmac.compare_digest(given, entry.digest):
                holder = entry.holder
        return holder


def read_keys(path: Path) -> Keys:
    """Keys from a file of lines `ROLE KEY [NAME]`; empty lines and those that begin with # are passed over.

    Raises:
        UserError: the file cannot be read, others can read it too, or a line is none such.
    """
    path = path.expanduser()
    if not path.is_file():
        raise UserError(f"There is no key file {path}. Write one with lines like 'ask KEY', and name it by --key-file.")
    with reading(path):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UserError(f"Others can read or write the key file {path} (mode {mode:o}). Run: chmod 600 {path}")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"The key file {path} is not UTF-8 text.") from error
    entries = [_entry(path, number, line) for number, line in enumerate(lines, 1) if _says_something(line)]
    if not entries:
        raise UserError(f"The key file {path} has no keys. Write a line like 'ask KEY'.")
    if len({key for _, key, _ in entries}) < len(entries):
        raise UserError(f"The key file {path} has a key twice. Give each its one role.")
    return Keys(entries)


def _entry(path: Path, number: int, line: str) -> tuple[Role, str, str]:
    """What a line says. The message of an error never shows what may be a key."""
    where = f"The key file {path}, line {number}"
    parts = line.split(maxsplit=2)
    names = [role.name.lower() for role in Role]
    if len(parts) < 2:
        raise UserError(f"{where}: write a role and a key, as 'ask KEY'. Roles: {', '.join(names)}.")
    if parts[0] not in names:
        raise UserError(f"{where}: there is no such role. {nearest('', names)}")
    if len(parts[1]) < _SHORTEST or not parts[1].isascii():
        raise UserError(f"{where}: a key has at least {_SHORTEST} ASCII characters, as from 'openssl rand -hex 24'.")
    try:
        name = checked_actor(parts[2].strip()) if len(parts) == 3 else ""
    except UserError as error:
        raise UserError(f"{where}: what follows the key is the name of its holder. {error}") from None
    return Role[parts[0].upper()], parts[1], name


def _name(role: Role, key: str, name: str = "") -> str:
    """The holder's name or, where none is given, one that tells keys apart and says nothing of them."""
    return name or f"{role.name.lower()}-{_digest(key).hex()[:8]}"


def _says_something(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
