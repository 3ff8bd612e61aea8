"""What requests within a call may carry across the gateway: key presses and lines of text, each written anew."""

from opx.sip.dtmf import parse_key, write_key
from opx.sip.events import Asked

MAX_TEXT = 1300
"""Bytes of a text message (RFC 3428 section 8)."""


def carried_body(event: Asked) -> bytes | None:
    """The body for the other side, None when content of that kind stays where it is."""
    if event.method == "INFO":
        press = parse_key(event.content_type, event.body)
        return write_key(event.content_type, press) if press is not None else None
    kind = event.content_type.partition(";")[0].strip().lower()
    if event.method == "MESSAGE" and kind == "text/plain" and len(event.body) <= MAX_TEXT:
        return event.body
    return None
