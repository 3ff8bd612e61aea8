"""TLS with a peer that is known by its certificate's fingerprint, whatever name it bears and whoever issued it.

It is for peers in the office LAN, of which an administrator has nothing but the address: they look at the fingerprint
once and trust it. It is compared at the end of the handshake, before a byte of a request is sent.
"""

import asyncio
import hashlib
import ssl

HANDSHAKE_LIMIT = 10.0
"""Seconds that a peer has to show its certificate."""


class FingerprintDiffers(ssl.SSLCertVerificationError):
    """The peer has another certificate than the pinned one; `fingerprint` is its SHA-256 in hex."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(f"another certificate was met: SHA-256 {fingerprint}")
        self.fingerprint = fingerprint


class _Connection(ssl.SSLObject):
    def do_handshake(self) -> None:
        super().do_handshake()
        context = self.context
        assert isinstance(context, PinnedContext)
        met = fingerprint_of(self.getpeercert(binary_form=True) or b"")
        if met != context.fingerprint:
            raise FingerprintDiffers(met)


class PinnedContext(ssl.SSLContext):
    """A client's context for asyncio and anyio: handshakes raise FingerprintDiffers. No other check is made."""

    sslobject_class = _Connection
    fingerprint: str

    @classmethod
    def of(cls, fingerprint: str) -> "PinnedContext":
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.fingerprint = fingerprint
        return context


def fingerprint_of(certificate: bytes) -> str:
    """SHA-256 in hex of a certificate as DER."""
    return hashlib.sha256(certificate).hexdigest()


def readable(fingerprint: str) -> str:
    """As browsers and `openssl x509 -fingerprint` show it."""
    return ":".join(fingerprint[at : at + 2] for at in range(0, len(fingerprint), 2)).upper()


async def fetch_fingerprint(host: str, port: int, local_address: str = "") -> str:
    """Of the certificate that a server shows, for somebody to look at; nothing is asked of it.

    OSError when there is no TLS server; TimeoutError, which is one, too.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    local = (local_address, 0) if local_address else None
    async with asyncio.timeout(HANDSHAKE_LIMIT):
        _, writer = await asyncio.open_connection(host, port, ssl=context, local_addr=local)
    try:
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return fingerprint_of(connection.getpeercert(binary_form=True) or b"")
    finally:
        writer.transport.abort()
