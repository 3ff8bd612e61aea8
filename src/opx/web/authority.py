"""A private certificate authority: clients trust its file once, and with it every certificate that it issues."""

import datetime
import ipaddress
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
"""The longest that browsers and phones accept for a server certificate."""
_CLOCK_SKEW = datetime.timedelta(minutes=5)
_NO_DNS = "invalid"
"""A name below which none exists (RFC 6761): an authority for addresses alone is constrained to it."""


class CertificateError(OSError):
    """A certificate or key cannot be used; the text names the file, says why and what is expected."""


@dataclass(frozen=True, slots=True)
class Authority:
    """`certificate` is for all to see; `key` signs, and stays in its file, which is for the owner only."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "Authority":
        """CertificateError when a file is missing or broken, or both do not belong together."""
        hint = "restore both files of the authority from a backup, or remove both to have a new one"
        try:
            loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
            private = serialization.load_pem_private_key(key.read_bytes(), None)
        except OSError as error:
            raise CertificateError(f"{error.filename} cannot be read ({error.strerror}); {hint}") from None
        except (ValueError, TypeError):
            raise CertificateError(f"{certificate} or {key} cannot be understood; {hint}") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey) or private.public_key() != loaded.public_key():
            raise CertificateError(f"{key} does not belong to {certificate}; {hint}")
        return cls(loaded, private)

    @classmethod
    def make(cls, common_name: str, names: Sequence[str] | None, now: datetime.datetime) -> "Authority":
        """For servers of these names and addresses: whoever trusts it trusts it no further.

        Private addresses may change within their block without a new authority. With None it issues for any name, for
        clients that cannot be told to trust another authority when the servers' names change.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = (
            _builder(name, name, key.public_key(), now, now + datetime.timedelta(days=AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        if names is not None:
            builder = builder.add_extension(x509.NameConstraints(_permitted(names), None), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    def permits(self, names: Iterable[str]) -> bool:
        """Whether its name constraints let it issue a certificate for all of these."""
        try:
            constraints = self.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        except x509.ExtensionNotFound:
            return True
        trees = constraints.permitted_subtrees or []
        return all(any(_within(name, tree) for tree in trees) for name in names)

    def lasts(self, now: datetime.datetime) -> bool:
        return self.certificate.not_valid_before_utc <= now + _CLOCK_SKEW and now < self.certificate.not_valid_after_utc

    def issued(self, certificate: x509.Certificate) -> bool:
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def issue(self, names: Sequence[str], now: datetime.datetime) -> tuple[bytes, bytes]:
        """A server certificate for host names and addresses, and its new key, both as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        # No name by itself: OpenSSL would hold one against the constraints for host names, an address even.
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"server {names[0]}"[:64])])
        until = min(now + datetime.timedelta(days=SERVER_DAYS), self.certificate.not_valid_after_utc)
        identifier = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _builder(subject, self.certificate.subject, key.public_key(), now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([general_name(item) for item in names]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), key_bytes(key)


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, data: bytes) -> None:
    """The file appears under its name only when it is complete, and is for its owner only."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _permitted(names: Sequence[str]) -> list[x509.GeneralName]:
    """A kind of name that is not among the permitted ones would be free altogether (RFC 5280 section 4.2.1.10)."""
    general = [general_name(name) for name in names]
    hosts = {item.value for item in general if isinstance(item, x509.DNSName)} or {_NO_DNS}
    blocks = {_block(str(item.value)) for item in general if isinstance(item, x509.IPAddress)} or {_BLOCKS[0]}
    return [*(x509.DNSName(host) for host in sorted(hosts)), *(x509.IPAddress(block) for block in blocks)]


_BLOCKS = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)


def _block(address: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    host = ipaddress.ip_address(address)
    return next((block for block in _BLOCKS if host in block), ipaddress.ip_network(host))


def _within(name: str, tree: x509.GeneralName) -> bool:
    general = general_name(name)
    if isinstance(general, x509.IPAddress) and isinstance(tree, x509.IPAddress):
        return ipaddress.ip_address(name) in ipaddress.ip_network(str(tree.value))
    if isinstance(general, x509.DNSName) and isinstance(tree, x509.DNSName):
        host, domain = name.lower(), tree.value.lower()
        return host == domain or host.endswith(f".{domain}")
    return False
