"""What careless SIP ALGs of home routers do to messages, as pure functions on bytes.

They follow what such routers are seen to do, faults included; the kernel's own ALG, which is careful, is the other kind
that a lab can have.
"""

import re
from collections.abc import Callable

from opx.lab.plan import Alg

HEADERS = {
    Alg.CARELESS: ("via", "v", "call-id", "i"),
    Alg.CONTACT: ("contact", "m"),
    Alg.BREAKING: ("via", "v", "call-id", "i"),
}
"""Header names, long and compact, that each kind rewrites."""
MEDIA_LINES = (b"c=", b"o=")

_LENGTH = re.compile(rb"^(content-length|l)(\s*:\s*)\d+", re.IGNORECASE)


def outward(message: bytes, alg: Alg, private: str, public: str) -> bytes:
    """A message of the phone as it leaves the router: its private address has become the public one."""
    old, new = private.encode(), public.encode()
    head, blank, body = message.partition(b"\r\n\r\n")
    rewritten = b"\r\n".join(
        line.replace(old, new) if line.startswith(MEDIA_LINES) else line for line in body.split(b"\r\n")
    )
    lines = _headers(head, alg, lambda line: line.replace(old, new))
    if alg is not Alg.BREAKING:
        lines = [_LENGTH.sub(rb"\g<1>\g<2>%d" % len(rewritten), line) for line in lines]
    return b"\r\n".join(lines) + blank + rewritten


def inward(message: bytes, alg: Alg, private: str, public: str) -> bytes:
    """A message for the phone: what `outward` did is taken back, in the request line, too."""
    old, new = public.encode(), private.encode()
    head, blank, body = message.partition(b"\r\n\r\n")
    lines = _headers(head, alg, lambda line: line.replace(old, new))
    if not lines[0].startswith(b"SIP/"):
        lines[0] = lines[0].replace(old, new)
    return b"\r\n".join(lines) + blank + body


def _headers(head: bytes, alg: Alg, change: Callable[[bytes], bytes]) -> list[bytes]:
    names = HEADERS[alg]
    start, *lines = head.split(b"\r\n")
    return [
        start,
        *(
            change(line) if line.partition(b":")[0].strip().lower().decode("latin-1") in names else line
            for line in lines
        ),
    ]
