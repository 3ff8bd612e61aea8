"""Secrets at rest: sealed with a key that is kept in a file outside the database."""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from opx.store.errors import SecretsError

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


def load_key(path: Path, *, create: bool) -> bytes:
    """The key in `path`; with `create` a new one is made when the file is missing, readable by its owner only.

    Of several processes that create it at once one wins, and all get its key. SecretsError when it is missing,
    malformed, or others can read it.
    """
    if create and not path.exists():
        _create(path)
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise SecretsError(
            f"{path}: the key file is missing; without it the database's secrets cannot be opened"
        ) from None
    except OSError as error:
        raise SecretsError(f"{path}: the key file cannot be read: {error.strerror}") from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != KEY_BYTES:
            raise SecretsError(f"{path}: is no key file; expected {KEY_BYTES} bytes")
        if status.st_mode & 0o077:
            raise SecretsError(f"{path}: others can read the key file; it must be for its owner only (chmod 600)")
        return os.read(descriptor, KEY_BYTES)
    finally:
        os.close(descriptor)


def _create(path: Path) -> None:
    """The file appears under its name only when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


class Sealer:
    """Seals and opens values. `context` says what a value belongs to; moved elsewhere it cannot be opened.

    A sealed value is its format's version (1 byte), a random nonce, and the text under AES-256-GCM.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str, context: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, text.encode("utf-8"), context.encode("utf-8"))

    def open(self, sealed: bytes, context: str) -> str:
        """SecretsError when the key is another one, or the value was tampered with."""
        nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _VERSION:
                raise InvalidTag
            return self._cipher.decrypt(nonce, body, context.encode("utf-8")).decode("utf-8")
        except (InvalidTag, ValueError):
            raise SecretsError(
                f"the secret of {context} cannot be opened: the key file does not belong to this database"
            ) from None
