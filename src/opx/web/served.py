"""The certificate that a running HTTPS server shows, and its replacement without a restart."""

import asyncio
import datetime
import itertools
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from opx.web.authority import CertificateError
from opx.web.certificates import CertificateInfo, certificate_files, ensure_certificate, info_of, read_certificates

LOOK_SECONDS = 10.0
"""Between two looks at the files."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OwnPair:
    """A certificate of the owner's own: a PEM file with the server's certificate first and those above it in order, and
    its key, not sealed with a passphrase."""

    chain: Path
    key: Path


class ServerCertificate:
    """One HTTPS server's certificate: of the private authority in `folder`, or the owner's own.

    `open` gives the TLS context to serve with; `look` takes over what has changed in the files, or renews what is about
    to expire, and new connections get it; `watch` does so for ever. `on_notice` hears in a line what happened.

    `renamed` gives the names as they are now, for servers whose names change while they run; each look of `watch` asks
    it first. The authority is then to be one that is not `constrained` to names. `prepare` sets in each context what
    the server wants beyond its certificate, such as its clients'.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        authority: str,
        own: OwnPair | None = None,
        *,
        stem: str = "server",
        constrained: bool = True,
        renamed: Callable[[], Awaitable[Sequence[str]]] | None = None,
        prepare: Callable[[ssl.SSLContext], None] = lambda context: None,
        on_notice: Callable[[str], None] = log.warning,
        clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
    ) -> None:
        self._folder = folder
        self._names = tuple(names)
        self._authority = authority
        self._own = own
        self._stem = stem
        self._constrained = constrained
        self._renamed = renamed
        self._prepare = prepare
        self._on_notice = on_notice
        self._clock = clock
        self._seen: tuple[object, ...] = ()
        self._current: ssl.SSLContext | None = None

    @property
    def authority_file(self) -> Path | None:
        """What clients are to trust; None with a certificate of the owner's own."""
        return None if self._own is not None else certificate_files(self._folder, self._stem).authority

    def open(self) -> ssl.SSLContext:
        """The context to serve with. CertificateError when the certificate or its key cannot be used."""
        pair = self._files()
        self._seen = _signature(pair)
        self._current = self._load(pair)
        face = self._load(pair)
        face.sni_callback = self._choose
        return face

    def look(self) -> bool:
        """Whether a new certificate was taken over. One that cannot be used is refused, and the old one stays."""
        try:
            pair = self._files()
        except OSError as error:
            self._say_once((str(error),), f"the certificate cannot be renewed: {error}")
            return False
        signature = _signature(pair)
        if signature == self._seen:
            return False
        self._seen = signature
        try:
            context = self._load(pair, self._clock())
        except CertificateError as error:
            self._on_notice(f"a new certificate is refused and the one before stays in use: {error}")
            return False
        self._current = context
        left = read_certificates(pair.chain)[0].days_left(self._clock().timestamp())
        self._on_notice(f"{pair.chain}: taken over without a restart; it lasts {left:.0f} days")
        return True

    async def watch(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look again and again, until cancelled."""
        while True:
            await sleep(LOOK_SECONDS)
            try:
                if self._renamed is not None:
                    self._names = tuple(await self._renamed())
                await asyncio.to_thread(self.look)
            except Exception:
                # The certificate in use stays, and the next look may find better files.
                log.exception("the certificate could not be looked at")

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        # A pair of another kind of key would stand beside the old one in the same context, so each has its own.
        if self._current is not None:
            connection.context = self._current

    def _files(self) -> OwnPair:
        if self._own is not None:
            return self._own
        files = ensure_certificate(
            self._folder,
            self._names,
            self._authority,
            stem=self._stem,
            constrained=self._constrained,
            now=self._clock(),
        )
        return OwnPair(files.certificate, files.key)

    def _load(self, pair: OwnPair, now: datetime.datetime | None = None) -> ssl.SSLContext:
        context = load_pair(pair, now)
        self._prepare(context)
        return context

    def _say_once(self, signature: tuple[object, ...], text: str) -> None:
        if signature != self._seen:
            self._seen = signature
            self._on_notice(text)


def certificate_report(folder: Path, own: OwnPair | None = None, stem: str = "server") -> list[CertificateInfo]:
    """The certificates in use, the server's own first and the authority's last, for whoever watches their expiry.

    CertificateError when a file is missing or broken. Any process may ask.
    """
    if own is not None:
        return read_certificates(own.chain)
    files = certificate_files(folder, stem)
    return [*read_certificates(files.certificate), *read_certificates(files.authority)]


def load_pair(pair: OwnPair, now: datetime.datetime | None = None) -> ssl.SSLContext:
    """A server's TLS context of a pair. CertificateError when the key is another one, the chain is out of order, or the
    certificate cannot be read; with `now` also when it is not valid at that time."""
    chain, key = _read(pair.chain), _read(pair.key)
    certificates = _checked(pair, chain, key)
    if now is not None:
        info = info_of(certificates[0], pair.chain)
        if not info.not_before <= now.timestamp() < info.not_after:
            raise CertificateError(f"{pair.chain} is not valid now; expected one that is")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # What was checked is what is loaded, whatever happens to the files meanwhile; the key touches no disk.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(b"\n".join([*(item.public_bytes(serialization.Encoding.PEM) for item in certificates), key]))
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=lambda: "")
    except ssl.SSLError as error:
        raise CertificateError(f"{pair.chain} cannot be used: {error.reason or error}") from None
    finally:
        os.close(descriptor)
    return context


def _checked(pair: OwnPair, chain: bytes, key: bytes) -> list[x509.Certificate]:
    try:
        certificates = x509.load_pem_x509_certificates(chain)
    except ValueError:
        raise CertificateError(f"{pair.chain} holds no certificate; expected PEM, the server's first") from None
    try:
        private = serialization.load_pem_private_key(key, None)
    except TypeError:
        raise CertificateError(f"{pair.key} is sealed with a passphrase; expected a key without one") from None
    except ValueError:
        raise CertificateError(f"{pair.key} holds no private key; expected PEM") from None
    if private.public_key() != certificates[0].public_key():
        raise CertificateError(
            f"{pair.key} does not belong to the first certificate of {pair.chain}; expected the server's own pair"
        )
    for lower, upper in itertools.pairwise(certificates):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            raise CertificateError(
                f"{pair.chain}: {lower.subject.rfc4514_string()} was not issued by "
                f"{upper.subject.rfc4514_string()}; expected the chain in order, the server's first"
            ) from None
    return certificates


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(f"{path} cannot be read ({error.strerror}); expected a PEM file") from None


def _signature(pair: OwnPair) -> tuple[object, ...]:
    """What differs when a file was written or replaced."""
    signature: list[object] = []
    for path in (pair.chain, pair.key):
        try:
            status = path.stat()
            signature.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError as error:
            signature.append(error.errno)
    return tuple(signature)
