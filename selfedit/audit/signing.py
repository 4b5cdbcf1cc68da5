"""Ed25519 keys: the private one lies in a file that nobody else may read, or in the environment; never in the store."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from selfedit.errors import UserError
from selfedit.files.disk import reading, writing

# Which takes a tenth of a second to import, and only signed logs need.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_FILE, KEY = "SELFEDIT_AUDIT_KEY_FILE", "SELFEDIT_AUDIT_KEY"
"""Environment variables: the path of a private key, or the key itself, as PEM."""

_MAKE = "make one with 'selfedit audit key FILE'"


@dataclass(frozen=True)
class PublicKey:
    """Verifies."""

    key: Ed25519PublicKey

    @property
    def fingerprint(self) -> str:
        """The first 16 hex digits of the SHA-256 of its 32 bytes."""
        return hashlib.sha256(self.key.public_bytes_raw()).hexdigest()[:16]

    def verifies(self, data: bytes, signature: str) -> bool:
        """Whether `signature`, in base64, is this key's over `data`."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(base64.b64decode(signature, validate=True), data)
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Signer:
    """Signs."""

    key: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        return PublicKey(self.key.public_key())

    @property
    def fingerprint(self) -> str:
        return self.public.fingerprint

    def sign(self, data: bytes) -> str:
        """The signature in base64."""
        return base64.b64encode(self.key.sign(data)).decode()


def given_signer(store: Path) -> Signer | None:
    """The key that the environment gives; None where it gives none.

    Raises:
        UserError: it is no Ed25519 key, others can read its file, or that lies in the store.
    """
    if text := os.environ.get(KEY):
        return _private(text.encode(), KEY)
    if not (name := os.environ.get(KEY_FILE)):
        return None
    path = Path(name).expanduser()
    if path.resolve().is_relative_to(store.resolve()):
        raise UserError(
            f"The key {path} lies in the store: whoever may change the log could sign it. Move it elsewhere."
        )
    with reading(path):
        status = path.stat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) and status.st_size < 10_000 else b""
    if os.name != "nt" and status.st_mode & 0o077:
        raise UserError(
            f"Others can read the key {path}: run 'chmod 600 {path}', and make a new one if they might have."
        )
    return _private(data, str(path))


def read_public(path: Path) -> PublicKey:
    """The public key in a PEM file. Raises UserError where there is none."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    with reading(path):
        data = path.read_bytes()
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise UserError(f"{path} is no public Ed25519 key in PEM: give the .pub file; {_MAKE}.")
    return PublicKey(key)


def make_key(path: Path) -> PublicKey:
    """Write a new private key to `path`, for its owner alone, and the public one to `path`.pub.

    Raises:
        UserError: one of them is there already, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    public = path.with_name(f"{path.name}.pub")
    for each in (path, public):
        if each.exists():
            raise UserError(f"{each} is there already. Name another file.")
    key = Ed25519PrivateKey.generate()
    with writing(path, "name another file"):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return PublicKey(key.public_key())


def _private(data: bytes, where: str) -> Signer:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError(f"{where} is no private Ed25519 key in PEM without a password: {_MAKE}.")
    return Signer(key)
