"""Names and numbers as they cross the gateway: user parts and display names pass, host names never do."""

from opx.sip.address import NameAddr
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Address, host_port
from opx.sip.grammar import format_host
from opx.sip.message import Request
from opx.sip.uri import Uri, is_user

MAX_NUMBER = 128
"""Characters of a user part."""


def number_of(request: Request) -> str:
    """Whom a request is for: the user part of its Request-URI or the number of a tel URI.

    RemoteProtocolError(404) when there is none, 414 when it is unreasonably long.
    """
    target = request.target
    number = target.user if target.scheme in ("sip", "sips") else target.opaque.partition(";")[0]
    if not number or not is_user(number):
        raise RemoteProtocolError("the request names nobody", status=404)
    if len(number) > MAX_NUMBER:
        raise RemoteProtocolError("the number is too long", status=414)
    return number


def caller_of(request: Request) -> tuple[str, str]:
    """Display name and user part of who calls, as an ICP states them: P-Asserted-Identity (RFC 3325) before From."""
    asserted = request.values("p-asserted-identity")
    for value in asserted[:1]:
        try:
            return _name_and_user(NameAddr.parse(value))
        except RemoteProtocolError:
            break
    return _name_and_user(request.from_)


def _name_and_user(address: NameAddr) -> tuple[str, str]:
    uri = address.uri
    user = uri.user if uri.scheme in ("sip", "sips") else uri.opaque.partition(";")[0]
    user = (user or "")[:MAX_NUMBER]
    return address.display, user if user and is_user(user) else "anonymous"


def domain_of(address: Address) -> str:
    """How addresses of the gateway end in bodies: phones compare with what they know, where no usual port stands."""
    return format_host(address[0]) if address[1] == 5060 else host_port(address)


def name_addr(display: str, user: str, domain: str) -> str:
    """A name-addr of our own making; `domain` is a host or host:port."""
    host = Uri.parse(f"sip:{domain}")
    return str(NameAddr(display, Uri("sip", user, None, host.host, host.port, (), ""), ()))
