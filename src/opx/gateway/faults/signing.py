"""Where a webhook may lead, and how its receiver tells that it comes from here."""

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

SIGNATURE = "X-OPX-Signature"
"""`t=SECONDS,v1=HEX`: HMAC-SHA256 with the shared secret over `SECONDS.BODY`."""


def check_url(url: str) -> str:
    """The address as it is to be used. ValueError: what is wrong with it, not repeating what may be secret in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment:
        raise ValueError("is no address to post to; expected https://HOST/PATH")
    if parts.username or parts.password:
        raise ValueError("holds a user name or password; expected an address without (what is sent is signed)")
    if parts.scheme == "http" and not _is_near(parts.hostname):
        raise ValueError("is not encrypted; expected https, or http to a private address of your own network")
    return url


def _is_near(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"


def sign(secret: bytes, at: int, body: bytes) -> str:
    """The signature's header for `body` sent `at` seconds since 1970."""
    return f"t={at},v1={hmac.new(secret, b'%d.' % at + body, hashlib.sha256).hexdigest()}"


def genuine(secret: bytes, header: str, body: bytes, now: float, *, window: float = 300.0) -> bool:
    """Whether a receiver should believe a delivery: for receivers in Python, and to say exactly how it is checked."""
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    at = fields.get("t", "")
    if not (at.isascii() and at.isdigit() and len(at) < 15) or abs(now - int(at)) > window:
        return False
    return hmac.compare_digest(sign(secret, int(at), body), header)
