"""Session descriptions as typed objects (RFC 8866, RFC 3264): read, built, never edited as text.

`parse` and `encode` for anybody; `offer` and `answer` for a plain user agent; `rebuild` for the gateway, which lets
through only what its policy names.
"""

from opx.sdp.model import (
    Attribute,
    Connection,
    Direction,
    Media,
    Origin,
    SdpError,
    SessionDescription,
)
from opx.sdp.negotiation import Agreement, agree, answer, cross, offer
from opx.sdp.rebuild import AttributePolicy, rebuild
from opx.sdp.text import encode, parse

__all__ = [
    "Agreement",
    "Attribute",
    "AttributePolicy",
    "Connection",
    "Direction",
    "Media",
    "Origin",
    "SdpError",
    "SessionDescription",
    "agree",
    "answer",
    "cross",
    "encode",
    "offer",
    "parse",
    "rebuild",
]
