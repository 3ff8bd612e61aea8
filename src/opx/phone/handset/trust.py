"""Whom a handset believes over TLS."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache

_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which the module has no name."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The `https validate ...` parameters, and the installed authorities as PEM.

    Without any authority nothing is believed while `certificates` is on: none of a real handset's built-in roots signs
    a private authority's certificate.
    """

    certificates: bool = True
    hostname: bool = True
    expires: bool = True
    authorities: str = ""


@lru_cache(maxsize=1024)
def context(trust: Trust) -> ssl.SSLContext:
    """What a TLS client that trusts so works with; no session is resumed. Thousands of handsets share one.

    ssl.SSLError or ValueError when the authorities cannot be read.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.options |= ssl.OP_NO_TICKET
    made.check_hostname = trust.certificates and trust.hostname
    if not trust.certificates:
        made.verify_mode = ssl.CERT_NONE
        return made
    if trust.authorities:
        made.load_verify_locations(cadata=trust.authorities)
    if not trust.expires:
        made.verify_flags = ssl.VerifyFlags(made.verify_flags | _NO_CHECK_TIME)
    return made
