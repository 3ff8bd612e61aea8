"""One file with several in it, whole or refused: a tar of files and a manifest with their checksums, sealed with a
passphrase when one is given.

Sealed, it is a line that names the format, a salt, and chunks under AES-256-GCM with a key that scrypt makes of the
passphrase; each chunk is bound to its place, and the last one says that it is the last, so that nothing can be cut off,
exchanged or added unseen.
"""

import hashlib
import io
import json
import os
import secrets
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

FORMAT = 1
MAGIC = b"OPX sealed archive 1\n"
MANIFEST = "manifest.json"
MAX_MANIFEST = 16 * 1024 * 1024
_SALT_BYTES = 16
_COST = 2**15
"""Of scrypt: 32 MB and a tenth of a second for each try at the passphrase."""
_CHUNK = 1024 * 1024
_TAG_BYTES = 16


class ArchiveError(Exception):
    """An archive cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of itself. `about` is its maker's own."""

    about: Mapping[str, Any]
    files: Mapping[str, str]
    """SHA-256 by name."""


def write_archive(target: Path, about: Mapping[str, Any], files: Mapping[str, Path], passphrase: str | None) -> None:
    """Make `target`, for its owner only; it appears when it is complete, and replaces none. OSError."""
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            sink: IO[bytes] = _Sealing(raw, passphrase) if passphrase is not None else raw  # type: ignore[assignment]
            _write_tar(sink, about, files)
            if passphrase is not None:
                sink.close()
            raw.flush()
            os.fsync(raw.fileno())
        os.link(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def read_archive(source: Path, folder: Path, passphrase: str | None) -> Manifest:
    """Unpack into `folder`, which is empty and for the owner only, and check everything. ArchiveError, OSError."""
    with source.open("rb") as raw:
        start = raw.read(len(MAGIC))
        sealed = start == MAGIC
        if sealed and passphrase is None:
            raise ArchiveError(f"{source} is sealed; expected its passphrase")
        if not sealed:
            raw.seek(0)
        stream: IO[bytes] = io.BufferedReader(_Opening(raw, passphrase or "")) if sealed else raw
        try:
            manifest = _read_tar(stream, folder)
        except (tarfile.TarError, EOFError, ValueError, KeyError, TypeError) as error:
            raise ArchiveError(f"{source} is no archive of this program, or a damaged one: {error}") from None
    for name, wanted in manifest.files.items():
        path = folder / name
        if not path.is_file() or _checksum(path) != wanted:
            raise ArchiveError(f"{source} is damaged: {name} is missing or not what it was")
    return manifest


def is_sealed(source: Path) -> bool:
    """OSError."""
    with source.open("rb") as raw:
        return raw.read(len(MAGIC)) == MAGIC


def _write_tar(sink: IO[bytes], about: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    sums = {name: _checksum(path) for name, path in files.items()}
    manifest = json.dumps({"format": FORMAT, "about": about, "files": sums}, indent=1).encode()
    with tarfile.open(fileobj=sink, mode="w|gz") as tar:
        entry = tarfile.TarInfo(MANIFEST)
        entry.size, entry.mode = len(manifest), 0o600
        tar.addfile(entry, io.BytesIO(manifest))
        for name, path in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = path.stat().st_size, 0o600
            with path.open("rb") as file:
                tar.addfile(entry, file)


def _read_tar(stream: IO[bytes], folder: Path) -> Manifest:
    with tarfile.open(fileobj=stream, mode="r|gz") as tar:
        first = tar.next()
        if first is None or first.name != MANIFEST or not first.isfile() or first.size > MAX_MANIFEST:
            raise ValueError("it does not begin with a manifest")
        content = tar.extractfile(first)
        assert content is not None
        read = json.load(content)
        if read["format"] != FORMAT:
            raise ArchiveError(f"the archive has format {read['format']}; expected {FORMAT}, a newer release made it")
        manifest = Manifest(dict(read["about"]), dict(read["files"]))
        while (entry := tar.next()) is not None:
            # Names come from the manifest alone: nothing is written where the archive says, but below `folder`.
            if not entry.isfile() or entry.name not in manifest.files or not _plain(entry.name):
                raise ValueError(f"{entry.name!r} does not belong there")
            content = tar.extractfile(entry)
            assert content is not None
            path = folder / entry.name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                while data := content.read(_CHUNK):
                    file.write(data)
    return manifest


def _plain(name: str) -> bool:
    return not name.startswith("/") and all(part not in ("", ".", "..") for part in name.split("/"))


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cipher(passphrase: str, salt: bytes) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=_COST, r=8, p=1).derive(passphrase.encode("utf-8")))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


class _Sealing:
    """What is written is sealed into `raw`; `close` writes the last chunk."""

    def __init__(self, raw: IO[bytes], passphrase: str) -> None:
        salt = os.urandom(_SALT_BYTES)
        self._raw = raw
        self._cipher = _cipher(passphrase, salt)
        self._waiting = bytearray()
        self._number = 0
        raw.write(MAGIC + salt)

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) > _CHUNK:
            self._put(bytes(self._waiting[:_CHUNK]), last=False)
            del self._waiting[:_CHUNK]
        return len(data)

    def close(self) -> None:
        self._put(bytes(self._waiting), last=True)

    def _put(self, data: bytes, *, last: bool) -> None:
        self._raw.write(self._cipher.encrypt(_nonce(self._number), data, b"last" if last else b"more"))
        self._number += 1


class _Opening(io.RawIOBase):
    """What is read is opened out of `raw`. ArchiveError."""

    def __init__(self, raw: IO[bytes], passphrase: str) -> None:
        self._raw = raw
        self._cipher = _cipher(passphrase, raw.read(_SALT_BYTES))
        self._opened = self._open_chunks()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._opened, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _open_chunks(self) -> Iterator[bytes]:
        number, data = 0, self._raw.read(_CHUNK + _TAG_BYTES)
        while True:
            following = self._raw.read(_CHUNK + _TAG_BYTES)
            try:
                yield self._cipher.decrypt(_nonce(number), data, b"more" if following else b"last")
            except InvalidTag:
                reason = "another passphrase made it, or it is damaged" if number == 0 else "it is damaged"
                raise ArchiveError(f"the archive cannot be opened: {reason}") from None
            if not following:
                return
            number, data = number + 1, following
