"""What the body of a message is made of: one part, or several in multipart (RFC 5621, RFC 2046 section 5.1)."""

from collections.abc import Iterator
from dataclasses import dataclass

from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import canonical, param_of, parse_params
from opx.sip.message import Request, Response

SDP = "application/sdp"

MAX_PARTS = 16
"""Leaves of one body; a call has a description, and a location or two beside it."""
MAX_NESTING = 3
"""Multiparts within multiparts: a signed choice of descriptions needs two."""
MAX_BOUNDARY = 70
"""RFC 2046 section 5.1.1."""

_PLAIN_ENCODINGS = frozenset(("", "7bit", "8bit", "binary", "identity"))


@dataclass(frozen=True, slots=True)
class Part:
    """`media_type` in lower case without parameters; `disposition` as it is by default where nothing is said.

    `handling` is what the sender says of a receiver that cannot use it: "required", "optional", or "" for nothing.
    `plain` tells whether the bytes stand for themselves, neither compressed nor otherwise encoded.
    """

    media_type: str
    disposition: str
    handling: str
    plain: bool
    body: bytes

    @property
    def describes_session(self) -> bool:
        return self.media_type == SDP and self.disposition == "session" and self.plain


def session_part(message: Request | Response) -> bytes:
    """The session description in a body of whatever make, b"" when it holds none. RemoteProtocolError as `parts_of`."""
    for part in parts_of(message):
        if part.describes_session:
            return part.body
    return b""


def parts_of(message: Request | Response) -> list[Part]:
    """All parts of the body, multiparts taken apart; of a choice (multipart/alternative) the best comes first.

    RemoteProtocolError when a multipart is malformed, and with status 513 when it passes the bounds above.
    """
    if not message.body:
        return []
    fields = {name: value for name, value in message.items() if name.startswith("content-")}
    parts: list[Part] = []
    for part in _leaves(fields, message.body, MAX_NESTING):
        if len(parts) == MAX_PARTS:
            raise RemoteProtocolError("the body has too many parts", status=513)
        parts.append(part)
    return parts


def _leaves(fields: dict[str, str], body: bytes, nesting: int) -> Iterator[Part]:
    media_type, _, params = fields.get("content-type", "text/plain").partition(";")
    media_type = media_type.strip().lower()
    if not media_type.startswith("multipart/"):
        disposition, _, more = fields.get("content-disposition", "").partition(";")
        yield Part(
            media_type,
            disposition.strip().lower() or ("session" if media_type == SDP else "render"),
            (param_of(parse_params(more), "handling") or "").lower(),
            all(
                fields.get(name, "").strip().lower() in _PLAIN_ENCODINGS
                for name in ("content-encoding", "content-transfer-encoding")
            ),
            body,
        )
        return
    if not nesting:
        raise RemoteProtocolError("the body is nested too deeply", status=513)
    pieces = _pieces(body, param_of(parse_params(params), "boundary") or "")
    for piece in reversed(pieces) if media_type == "multipart/alternative" else pieces:
        head, content = _split_head(piece)
        yield from _leaves(head, content, nesting - 1)


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    if not boundary or len(boundary) > MAX_BOUNDARY:
        raise RemoteProtocolError("a multipart body needs a boundary")
    delimiter = b"\r\n--" + boundary.encode("utf-8", "surrogateescape")
    # One more than the bound is enough to tell that it is passed.
    _, *rest = (b"\r\n" + body).split(delimiter, MAX_PARTS + 2)
    pieces: list[bytes] = []
    for piece in rest:
        if piece.startswith(b"--"):
            return pieces
        padding, line_break, content = piece.partition(b"\r\n")
        if padding.strip(b" \t") or not line_break:
            break
        pieces.append(content)
    if len(pieces) > MAX_PARTS:
        raise RemoteProtocolError("the body has too many parts", status=513)
    raise RemoteProtocolError("a multipart body does not end")


def _split_head(piece: bytes) -> tuple[dict[str, str], bytes]:
    if piece.startswith(b"\r\n"):
        return {}, piece[2:]
    head, _, content = piece.partition(b"\r\n\r\n")
    fields = {}
    unfolded = head.decode("utf-8", "surrogateescape").replace("\r\n ", " ").replace("\r\n\t", " ")
    for line in unfolded.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            fields[canonical(name)] = value.strip()
    return fields, content
