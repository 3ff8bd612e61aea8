"""The server certificate of a private authority: made at the first start, and anew before it expires."""

import contextlib
import datetime
import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from opx.web.authority import Authority, CertificateError, key_bytes, write_private

RENEW_DAYS = 30
"""A server certificate is replaced when it has less than this left."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """What a server needs, and the authority that its clients are to trust."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """A certificate in a file. Times in seconds since 1970; `names` are host names and addresses."""

    path: Path
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    authority: bool
    fingerprint: str = ""
    """SHA-256 in hex."""

    def days_left(self, now: float) -> float:
        """Below 0 when it has expired."""
        return (self.not_after - now) / 86400


def certificate_files(folder: Path, stem: str = "server") -> CertificateFiles:
    return CertificateFiles(folder / f"{stem}.pem", folder / f"{stem}.key", folder / "ca.pem")


def ensure_certificate(
    folder: Path,
    names: Sequence[str],
    authority: str,
    *,
    stem: str = "server",
    constrained: bool = True,
    now: datetime.datetime | None = None,
) -> CertificateFiles:
    """The certificate in `folder` for `names` (host names and addresses), made when it is missing, names others, or
    is about to expire.

    `authority` is the common name of the authority, which is made first when the folder has none, or when the one
    there has expired or may not issue for `names` (its files are then kept aside); one that is made not `constrained`
    may issue for any name. Servers that show different names to different sides have a `stem` each. CertificateError
    when the authority's files cannot be used. Of several processes that start at once one makes the files.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    folder.mkdir(parents=True, exist_ok=True)
    files = certificate_files(folder, stem)
    with _locked(folder):
        issuer = _authority(files, authority, names, now, constrained=constrained)
        if not _fits(files, issuer, names, now):
            certificate, key = issuer.issue(names, now)
            # The key first: whoever looks in between finds a pair that does not match, and keeps what it has.
            write_private(files.key, key)
            _publish(files.certificate, certificate)
    return files


def read_certificates(path: Path) -> list[CertificateInfo]:
    """All certificates in a PEM file, the server's own first. CertificateError."""
    return [info_of(certificate, path) for certificate in load_chain(path)]


def load_chain(path: Path) -> list[x509.Certificate]:
    """CertificateError."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertificateError(f"{path} cannot be read ({error.strerror}); expected a PEM file") from None
    except ValueError:
        raise CertificateError(f"{path} holds no certificate; expected a PEM file with the server's first") from None


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The host names and addresses that a certificate is for."""
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    addresses = map(str, alternative.get_values_for_type(x509.IPAddress))
    return (*alternative.get_values_for_type(x509.DNSName), *addresses)


def info_of(certificate: x509.Certificate, path: Path) -> CertificateInfo:
    try:
        authority = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        authority = False
    return CertificateInfo(
        path,
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        names_of(certificate),
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
        authority,
        certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _authority(
    files: CertificateFiles, name: str, names: Sequence[str], now: datetime.datetime, *, constrained: bool
) -> Authority:
    key = files.authority.with_suffix(".key")
    if files.authority.exists() or key.exists():
        authority = Authority.load(files.authority, key)
        if authority.lasts(now) and authority.permits(names):
            return authority
        for path in (files.authority, key):
            path.replace(path.with_name(f"{now:%Y%m%dT%H%M%S}-{path.name}"))
        log.warning(
            "%s: a new authority is made, the one before %s; clients must trust the new file",
            files.authority,
            "may not issue for the names that are wanted now" if authority.lasts(now) else "has expired",
        )
    authority = Authority.make(name, names if constrained else None, now)
    write_private(key, key_bytes(authority.key))
    _publish(files.authority, authority.certificate.public_bytes(serialization.Encoding.PEM))
    return authority


def _fits(files: CertificateFiles, authority: Authority, names: Sequence[str], now: datetime.datetime) -> bool:
    try:
        certificate = load_chain(files.certificate)[0]
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    except (OSError, ValueError, TypeError):
        return False
    return (
        key.public_key() == certificate.public_key()
        and authority.issued(certificate)
        and set(names_of(certificate)) == set(names)
        and certificate.not_valid_before_utc <= now
        and certificate.not_valid_after_utc > now + _left(authority, now)
    )


def _left(authority: Authority, now: datetime.datetime) -> datetime.timedelta:
    """What a certificate must have left; an authority near its end issues none that lasts longer than itself."""
    return min(
        datetime.timedelta(days=RENEW_DAYS),
        authority.certificate.not_valid_after_utc - now - datetime.timedelta(seconds=1),
    )


def _publish(path: Path, data: bytes) -> None:
    write_private(path, data)
    path.chmod(0o644)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
