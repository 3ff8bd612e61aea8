"""Naming a dialog from outside: Replaces (RFC 3891), and Refer-To with one inside (RFC 3515, RFC 5589)."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, unquote

from opx.sip.address import NameAddr
from opx.sip.errors import RemoteProtocolError
from opx.sip.grammar import has_control, param_of, parse_params
from opx.sip.uri import Uri

MAX_VALUE = 1024
"""Characters of a Replaces or Refer-To; a phone's Call-ID is some dozens long."""

_SAFE = "-_.!~*'()"
"""What need not be escaped in a URI's header part (RFC 3261 section 25.1)."""


class DialogName(NamedTuple):
    """A dialog as seen by whoever is to replace it: `to_tag` is its own tag, `from_tag` the other end's."""

    call_id: str
    to_tag: str
    from_tag: str


@dataclass(frozen=True, slots=True)
class Replaces:
    """`early_only`: only while the dialog is not answered yet, as a pick-up wants it."""

    dialog: DialogName
    early_only: bool = False

    @classmethod
    def parse(cls, value: str) -> "Replaces":
        """RemoteProtocolError when malformed (RFC 3891 section 6.1)."""
        call_id, semicolon, rest = value.partition(";")
        params = parse_params(rest) if semicolon else ()
        to_tag, from_tag = param_of(params, "to-tag"), param_of(params, "from-tag")
        call_id = call_id.strip()
        if len(value) > MAX_VALUE or not call_id or " " in call_id or has_control(value) or not to_tag or not from_tag:
            raise RemoteProtocolError("malformed Replaces")
        return cls(DialogName(call_id, to_tag, from_tag), any(name == "early-only" for name, _ in params))

    def __str__(self) -> str:
        early = ";early-only" if self.early_only else ""
        return f"{self.dialog.call_id};to-tag={self.dialog.to_tag};from-tag={self.dialog.from_tag}{early}"


@dataclass(frozen=True, slots=True)
class ReferTo:
    """Whom a REFER points to. `uri` is without its header part."""

    uri: Uri
    replaces: Replaces | None = None

    @classmethod
    def parse(cls, value: str) -> "ReferTo":
        """RemoteProtocolError when malformed, or when an INVITE is not what is wanted of the target."""
        if len(value) > MAX_VALUE:
            raise RemoteProtocolError("Refer-To is too long")
        uri = NameAddr.parse(value).uri
        if uri.scheme not in ("sip", "sips", "tel"):
            raise RemoteProtocolError("Refer-To names no telephone", status=416)
        if (uri.param("method") or "INVITE").upper() != "INVITE":
            raise RemoteProtocolError("Refer-To asks for something else than a call", status=403)
        bare = Uri(uri.scheme, uri.user, None, uri.host, uri.port, uri.params, "", uri.opaque)
        return cls(bare, _replaces_in(uri.headers))

    def __str__(self) -> str:
        headers = f"?Replaces={quote(str(self.replaces), safe=_SAFE)}" if self.replaces else ""
        return f"<{self.uri}{headers}>"

    @property
    def number(self) -> str:
        """The user part, or the number of a tel URI."""
        return (self.uri.user if self.uri.scheme != "tel" else self.uri.opaque.partition(";")[0]) or ""


def _replaces_in(headers: str) -> Replaces | None:
    for part in headers.split("&"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "replaces":
            return Replaces.parse(unquote(value))
    return None
