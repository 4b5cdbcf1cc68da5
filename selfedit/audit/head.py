"""The head of a log: how many lines it has and the hash of the last, which together stand for all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from selfedit.audit.signing import PublicKey, Signer
from selfedit.errors import UserError
from selfedit.files.disk import reading, write_whole
from selfedit.files.serialize import decode, encode


@dataclass(frozen=True)
class Head:
    """Enough to tell whether a log is the one that it was.

    Attributes:
        key: the fingerprint of the key that signed it; empty, as `signature` is, where nobody did.
        signature: Ed25519, in base64.
    """

    count: int
    hash: str
    time: str
    key: str = ""
    signature: str = ""

    def signed(self, signer: Signer | None) -> Head:
        """The same, signed anew; unsigned without a signer."""
        if signer is None:
            return replace(self, key="", signature="")
        return replace(self, key=signer.fingerprint, signature=signer.sign(self._said))

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether it bears a good signature of that key."""
        return key.verifies(self._said, self.signature)

    @property
    def _said(self) -> bytes:
        # The time is that of the last entry, which the hash stands for.
        return f"selfedit audit head\n{self.count}\n{self.hash}".encode()


@dataclass(frozen=True)
class Kept:
    """What is beside a log: its head and, written before the log itself, its last line and its size with that, bytes.

    So a line that a crash cut off can be completed, and nothing that the head does not know ever becomes the log's.
    """

    head: Head
    last: str
    size: int


def read_kept(path: Path) -> Kept | None:
    """What is beside a log, if there is anything. Raises UserError when it is damaged."""
    with reading(path):
        if not path.exists():
            return None
        data = path.read_bytes()
    try:
        return decode(Kept, data)
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}). Restore it from a backup.") from None


def write_kept(path: Path, kept: Kept) -> None:
    """Put it there in one step. Raises OSError."""
    write_whole(path, encode(kept) + b"\n")


def read_heads(path: Path) -> tuple[Head, ...]:
    """Heads that were kept elsewhere, one JSON object or one a line. Raises UserError where there is none."""
    with reading(path):
        data = path.read_bytes()
    try:
        try:
            return (decode(Head, data),)
        except ValueError:
            heads = tuple(decode(Head, line) for line in data.splitlines() if line.strip())
    except ValueError as error:
        raise UserError(f"{path} holds no head ({error}): give what 'selfedit audit head --json' printed.") from None
    if not heads:
        raise UserError(f"{path} is empty: give what 'selfedit audit head --json' printed.")
    return heads
