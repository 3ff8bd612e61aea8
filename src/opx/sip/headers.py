"""Typed values of single headers that are not addresses."""

from dataclasses import dataclass
from typing import NamedTuple

from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import Params, format_host, format_params, is_token, param_of, parse_params, split_host_port


class CSeq(NamedTuple):
    """RFC 3261 section 20.16."""

    number: int
    method: str


METHODS = frozenset(
    (
        *("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "REFER", "SUBSCRIBE"),
        *("NOTIFY", "MESSAGE", "PUBLISH"),
    )
)
"""Methods of the RFCs; any other is not merely refused but unknown (RFC 3261 sections 8.2.1 and 21.5.2)."""
MAX_CSEQ = 2**31 - 1


def parse_cseq(text: str) -> CSeq:
    """RemoteProtocolError when malformed or out of range (section 8.1.1.5)."""
    digits, _, method = text.partition(" ")
    if method in METHODS and len(digits) <= 9 and digits.isascii() and digits.isdigit():
        return CSeq(int(digits), method)
    parts = text.split()
    if len(parts) != 2 or not (parts[0].isascii() and parts[0].isdigit()) or len(parts[0]) > 12:
        raise RemoteProtocolError("malformed CSeq")
    number = int(parts[0])
    if number > MAX_CSEQ or not is_token(parts[1]):
        raise RemoteProtocolError("CSeq is out of range")
    return CSeq(number, parts[1])


@dataclass(frozen=True, slots=True)
class Via:
    """RFC 3261 section 20.42; `transport` in upper case, `host` without brackets."""

    transport: str
    host: str
    port: int | None
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> "Via":
        """RemoteProtocolError when malformed."""
        head, semicolon, params = text.partition(";")
        protocol, _, sent_by = head.strip().partition(" ")
        if not sent_by.strip() or protocol.count("/") != 2:
            # White space may stand around the slashes.
            pieces = [piece.strip() for piece in head.split("/")]
            if len(pieces) != 3:
                raise RemoteProtocolError("malformed Via")
            transport, _, sent_by = pieces[2].partition(" ")
            name, version = pieces[0], pieces[1]
        else:
            name, version, transport = protocol.split("/")
        if name.upper() != "SIP" or version != "2.0" or not is_token(transport):
            raise RemoteProtocolError("malformed Via")
        host, port = split_host_port(sent_by)
        if any(not part.strip() for part in params.split(";")[:-1]):
            raise RemoteProtocolError("a Via has an empty parameter")
        return cls(transport.upper(), host, port, parse_params(params) if semicolon else ())

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{format_params(self.params)}"

    @property
    def sent_by(self) -> str:
        port = f":{self.port}" if self.port is not None else ""
        return f"{format_host(self.host)}{port}"

    @property
    def branch(self) -> str:
        return param_of(self.params, "branch") or ""

    @property
    def received(self) -> str | None:
        """Without brackets, which some senders put around an IPv6 address (RFC 5118 section 4.5)."""
        value = param_of(self.params, "received")
        return value.strip("[]") if value else value

    @property
    def rport(self) -> str | None:
        """None when absent, "" when asked for, else the port that was filled in (RFC 3581)."""
        return param_of(self.params, "rport")
