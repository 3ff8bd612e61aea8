"""The site settings as the rest of the suite sees them, and what may be stored."""

import ipaddress
import re
import secrets
from dataclasses import dataclass, field

MAX_NAME = 64
MAX_PASSWORD = 128
SIP_PORT = 5060
GATEWAY_PORT = 8443
REMOTE_NAME_BYTES = 6
REMOTE_PASSWORD_BYTES = 18
"""Random bytes of made-up set-side credentials: nobody types them, so they are long."""

_LABEL = re.compile(r"(?!-)[A-Za-z0-9\-]{1,63}(?<!-)\Z")
_NUMBER = re.compile(r"[0-9*#]{1,16}\Z")
_USERNAME = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]{1,128}\Z")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}\Z")


class SiteError(Exception):
    """What was asked cannot be stored; the text says why. `field` is the one at fault, "" when it is none."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class Missing(SiteError):
    """There is no such thing."""


class Conflict(SiteError):
    """Another writer was first."""


@dataclass(frozen=True, slots=True)
class GatewayRecord:
    """The gateway as the suite knows it. Times in seconds since 1970; fingerprints are SHA-256 in hex, or "".

    `offered_fingerprint`: a certificate that was met instead of the pinned one; nothing is asked of the gateway while
    it waits for the administrator's word.
    """

    address: str = ""
    port: int = GATEWAY_PORT
    rest_api: bool = False
    consumer_name: str = ""
    consumer_id: str = ""
    has_secret: bool = False
    pending: bool = False
    pending_until: float | None = None
    has_token: bool = False
    token_until: float | None = None
    fingerprint: str = ""
    offered_fingerprint: str = ""
    version: int = field(default=0, compare=False)

    @property
    def url(self) -> str:
        """Of the web services' root, with a trailing slash."""
        return f"https://{self.address}:{self.port}/webservices/"


@dataclass(frozen=True, slots=True)
class GatewaySpec:
    """What the administrator sets on the MiVoice Border Gateway page (guide stages 1 and 4)."""

    address: str
    port: int = GATEWAY_PORT
    rest_api: bool = False

    def check(self) -> None:
        """SiteError."""
        if self.address:
            check_address(self.address, "address")
        elif self.rest_api:
            raise SiteError("the Rest API needs the gateway's inside address", "address")
        check_port(self.port, "port")


@dataclass(frozen=True, slots=True)
class GatewayAccess:
    """What requests to the gateway are signed with; None of a pair that there is not."""

    consumer_id: str
    consumer_secret: str = field(repr=False)
    token: str = ""
    token_secret: str = field(default="", repr=False)
    pending_token: str = ""
    pending_secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PbxSpec:
    """A PBX as it is asked for. `token` None leaves the stored one."""

    name: str
    connector: str = ""
    url: str = ""
    fingerprint: str = ""
    token: str | None = field(default=None, repr=False)
    ct_gateway: str = ""

    def check(self) -> None:
        """SiteError."""
        if not self.name.strip() or len(self.name) > MAX_NAME:
            raise SiteError(f"expected a name of at most {MAX_NAME} characters", "name")
        if self.fingerprint and not _FINGERPRINT.match(self.fingerprint):
            raise SiteError("expected 64 hexadecimal digits", "fingerprint")


@dataclass(frozen=True, slots=True)
class PbxRecord:
    id: int
    name: str
    connector: str
    url: str
    fingerprint: str
    has_token: bool
    ct_gateway: str
    read_at: float | None
    read_error: str
    version: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """`address` is the one that the gateway's ICP must have (guide stage 3), `nat_*` where phones outside register."""

    pbx_id: int
    name: str
    address: str
    sip_port: int = SIP_PORT
    nat_address: str = ""
    nat_sip_port: int = SIP_PORT
    software: str = ""

    def check(self) -> None:
        """SiteError."""
        if not self.name.strip() or len(self.name) > MAX_NAME:
            raise SiteError(f"expected a name of at most {MAX_NAME} characters", "name")
        check_host(self.address, "address")
        check_port(self.sip_port, "sip_port")
        if self.nat_address:
            check_host(self.nat_address, "nat_address")
        check_port(self.nat_sip_port, "nat_sip_port")


@dataclass(frozen=True, slots=True)
class NodeRecord:
    id: int
    pbx_id: int
    name: str
    address: str
    sip_port: int
    nat_address: str
    nat_sip_port: int
    software: str
    version: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExtensionRecord:
    """`internal`, `remote` None: there are none. `teleworker`: "Use remote authorization credentials" is ticked."""

    id: int
    pbx_id: int
    node_id: int | None
    number: str
    name: str
    hot_desk: bool
    present: bool
    internal: Credentials | None
    teleworker: bool
    remote: Credentials | None
    revision: int
    version: int = field(default=1, compare=False)

    @property
    def obstacle(self) -> str:
        """Why the extension cannot be used through the gateway; "" when it can (guide stage 5)."""
        if self.internal is None:
            return "the PBX's authorization name and password of this extension are not known"
        if self.internal.name != self.number:
            return (
                f"the internal authorization name {self.internal.name} differs from the extension number "
                f"{self.number}, which the PBX refuses through a border gateway"
            )
        return ""


@dataclass(frozen=True, slots=True)
class ExtensionSpec:
    """A SIP extension as it is typed by hand, of a PBX that nothing is read from. `node_id` None: its only node."""

    pbx_id: int
    number: str
    name: str = ""
    hot_desk: bool = False
    node_id: int | None = None

    def check(self) -> None:
        """SiteError."""
        check_number(self.number)
        if len(self.name) > MAX_NAME:
            raise SiteError(f"expected at most {MAX_NAME} characters", "name")


@dataclass(frozen=True, slots=True)
class ReadExtension:
    """An extension as a connector read it from its PBX. `node` is the address of its node, "" the PBX's only one."""

    number: str
    name: str = ""
    hot_desk: bool = False
    credentials: Credentials | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Authorization:
    """The SIP Authorization form of an extension. A None leaves what is stored, and a remote one that there is not yet
    is made up when `teleworker` is ticked."""

    teleworker: bool
    remote_name: str | None = None
    remote_password: str | None = field(default=None, repr=False)
    internal_name: str | None = None
    internal_password: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """SiteError."""
        for name, given in (("remote_name", self.remote_name), ("internal_name", self.internal_name)):
            if given is not None and not _USERNAME.match(given):
                raise SiteError("expected letters, digits and -_.!~*'()&=+$,;?/", name)
        for name, given in (("remote_password", self.remote_password), ("internal_password", self.internal_password)):
            if given is not None and not (0 < len(given) <= MAX_PASSWORD and given.isascii() and given.isprintable()):
                raise SiteError(f"expected at most {MAX_PASSWORD} printable ASCII characters", name)


@dataclass(frozen=True, slots=True)
class TickResult:
    """What became of one extension of many: "" or the reason why it was left as it is."""

    extension_id: int
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Locations:
    """Client Locations: by which host names or addresses clients reach the suite, "" where none is set."""

    local: str = ""
    remote: str = ""

    def check(self) -> None:
        """SiteError."""
        for name, host in (("local", self.local), ("remote", self.remote)):
            if host:
                check_host(host, name)


def random_credentials() -> Credentials:
    """Set-side credentials that nobody needs to know."""
    return Credentials(f"tw-{secrets.token_hex(REMOTE_NAME_BYTES)}", secrets.token_urlsafe(REMOTE_PASSWORD_BYTES))


def check_number(number: str, field: str = "number") -> None:
    """SiteError."""
    if not _NUMBER.match(number):
        raise SiteError(f"{number!r} is no extension number; expected at most 16 digits, * and #", field)


def check_port(port: int, field: str) -> None:
    """SiteError."""
    if not 1 <= port <= 65535:
        raise SiteError(f"{port} is no port; expected 1 to 65535", field)


def check_address(address: str, field: str) -> None:
    """SiteError."""
    try:
        ipaddress.IPv4Address(address)
    except ValueError:
        raise SiteError(f"{address!r} is no IPv4 address", field) from None


def check_host(host: str, field: str) -> None:
    """A host name or an IPv4 address. SiteError."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        named = len(host) <= 253 and all(_LABEL.match(label) for label in host.split("."))
        if not named or host.replace(".", "").isdigit():
            raise SiteError(f"{host!r} is no host name or IPv4 address", field) from None
