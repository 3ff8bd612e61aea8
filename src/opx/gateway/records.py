"""ICPs and devices as the rest of the gateway sees them, and the rules for what may be stored."""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

MAX_NAME = 64
MAX_TYPE = 32
MAX_DESCRIPTION = 255
MAX_PASSWORD = 128
MAX_NODES = 8
"""Further nodes of one ICP: each is asked for its health all the time, and a call may try one after the other."""
SIP_PORT = 5060

_USERNAME = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/]{1,128}\Z")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9\-]{1,63}(?<!-)\Z")
_NUMBERS = re.compile(r"[0-9.]+\Z")


class RepositoryError(Exception):
    """What was asked cannot be stored; the text says why. `field` is that of the spec at fault, "" when it is none."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class Missing(RepositoryError):
    """There is no such ICP or device."""


class Taken(RepositoryError):
    """Another one has what there is only once: a name, a user name at an ICP."""


class InUse(RepositoryError):
    """Devices still use the ICP."""


class Conflict(RepositoryError):
    """Another writer was first. `current` is the version that is stored now and `id` whose; None when not known."""

    def __init__(self, text: str, current: int | None = None, id: int | None = None) -> None:
        super().__init__(text)
        self.current = current
        self.id = id


class BatchError(RepositoryError):
    """Nothing of a batch was stored. `problems` holds "icp" or "device", the index in its sequence, and the reason."""

    def __init__(self, problems: Sequence[tuple[str, int, RepositoryError]]) -> None:
        super().__init__("; ".join(f"{what}[{index}]: {error}" for what, index, error in problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where one node of a PBX is. `port` None: the name's SRV records say, and 5060 where it has none (RFC 3263)."""

    host: str
    port: int | None = None
    transport: str = "UDP"

    @classmethod
    def parse(cls, text: str) -> "NodeAddress":
        """HOST[:PORT][/TRANSPORT]. RepositoryError."""
        address, _, transport = text.strip().partition("/")
        host, colon, port = address.partition(":")
        if colon and not (port.isascii() and port.isdigit() and len(port) <= 5):
            raise RepositoryError(f"{text!r} is no node; expected HOST, HOST:PORT or HOST:PORT/TCP", "nodes")
        return cls(host, int(port) if colon else None, transport.upper() or "UDP").whole()

    def __str__(self) -> str:
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.host}{port}/{self.transport}"

    @property
    def is_name(self) -> bool:
        return literal_address(self.host) is None

    def whole(self) -> "NodeAddress":
        """With the port that an address without one has; a name may go without."""
        return replace(self, port=SIP_PORT) if self.port is None and not self.is_name else self

    def check(self) -> None:
        """RepositoryError."""
        _check_host(self.host)
        if self.port is not None and not 1 <= self.port <= 65535:
            raise RepositoryError(f"{self.port} is no port; expected 1 to 65535", "port")
        if self.transport not in ("UDP", "TCP"):
            raise RepositoryError(f"{self.transport!r} is no transport; expected UDP or TCP", "transport")


@dataclass(frozen=True, slots=True)
class IcpRecord:
    """`nodes` are further nodes of the same PBX, the most wanted first; they serve when those before them do not.

    `version` is raised by every write; it says nothing about what the ICP is.
    """

    id: int
    name: str
    type: str
    host: str
    port: int | None
    transport: str
    nodes: tuple[NodeAddress, ...] = ()
    version: int = field(default=1, compare=False)

    @property
    def addresses(self) -> tuple[NodeAddress, ...]:
        """All nodes, the first one first."""
        return (NodeAddress(self.host, self.port, self.transport), *self.nodes)


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device with its secrets opened. `icp_username` and `icp_password` are what the ICP asks for, never blank.

    `revision` changes with the credentials, `version` with every write.
    """

    id: int
    enabled: bool
    description: str
    icp_id: int
    set_username: str
    set_ha1: Mapping[str, str] = field(repr=False)
    icp_username: str
    icp_password: str = field(repr=False)
    revision: int
    version: int = field(default=1, compare=False)


@dataclass(frozen=True, slots=True)
class IcpSpec:
    """An ICP as it is asked for. `port` and `nodes` as in IcpRecord."""

    name: str
    host: str
    port: int | None = None
    transport: str = "UDP"
    type: str = ""
    nodes: tuple[NodeAddress, ...] = ()

    @property
    def addresses(self) -> tuple[NodeAddress, ...]:
        """All nodes with whole addresses, the first one first."""
        return tuple(node.whole() for node in (NodeAddress(self.host, self.port, self.transport), *self.nodes))

    def check(self) -> None:
        """RepositoryError."""
        _check_text("an ICP's name", self.name, MAX_NAME, "name")
        if not self.name.strip():
            raise RepositoryError("an ICP needs a name", "name")
        _check_text("an ICP's type", self.type, MAX_TYPE, "type")
        NodeAddress(self.host, self.port, self.transport).check()
        if len(self.nodes) > MAX_NODES:
            raise RepositoryError(f"{len(self.nodes)} further nodes are too many; expected {MAX_NODES}", "nodes")
        for node in self.nodes:
            try:
                node.check()
            except RepositoryError as error:
                raise RepositoryError(f"node {node}: {error}", "nodes") from None
        if len(set(self.addresses)) != len(self.addresses):
            raise RepositoryError("a node stands here twice; expected each once", "nodes")


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """A device as it is asked for.

    None as a password leaves the stored one. A blank ICP-side password means the same as on the set side. One that
    is the same stays so: with None it follows a new set-side password.
    """

    set_username: str
    set_password: str | None = field(repr=False)
    icp: str
    icp_username: str = ""
    icp_password: str | None = field(default=None, repr=False)
    description: str = ""
    enabled: bool = True

    @property
    def icp_name(self) -> str:
        """The user name at the ICP, never blank."""
        return self.icp_username or self.set_username

    def check(self) -> None:
        """RepositoryError; passwords are never quoted in it."""
        for what, name, field_ in (
            ("set-side", self.set_username, "set_username"),
            ("ICP-side", self.icp_name, "icp_username"),
        ):
            if not _USERNAME.match(name):
                raise RepositoryError(
                    f"{name!r} is no {what} user name; expected 1 to 128 letters, digits and -_.!~*'()&=+$,;?/", field_
                )
        _check_text("a description", self.description, MAX_DESCRIPTION, "description")
        for what, password, field_ in (
            ("set-side", self.set_password, "set_password"),
            ("ICP-side", self.icp_password, "icp_password"),
        ):
            if password is not None and (len(password) > MAX_PASSWORD or not password.isprintable()):
                raise RepositoryError(
                    f"the {what} password of {self.set_username} is not allowed; expected at most {MAX_PASSWORD} "
                    "characters and no control characters",
                    field_,
                )
        if self.set_password == "":
            raise RepositoryError(f"device {self.set_username} needs a set-side password", "set_password")


@dataclass(frozen=True, slots=True)
class DeviceChange:
    """One of several changes; the fields are what `Repository.save_device` takes. `spec` None: remove the device."""

    spec: DeviceSpec | None
    device_id: int | None = None
    version: int | None = None


def literal_address(host: str) -> str | None:
    """`host` when it is an address already, None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None


def _check_text(what: str, text: str, longest: int, field_: str) -> None:
    if len(text) > longest or not text.isprintable():
        raise RepositoryError(
            f"{what} is not allowed; expected at most {longest} characters and no control characters", field_
        )


def _check_host(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        if len(host) > 253 or _NUMBERS.match(host) or not all(_LABEL.match(label) for label in labels):
            text = f"{host!r} is no host name or address; expected those of the PBX node"
            raise RepositoryError(text, "host") from None
        return
    if address.version != 4:
        raise RepositoryError(f"{host} is IPv6; expected IPv4, media is carried over IPv4 only so far", "host")
    if address.is_unspecified or address.is_multicast or host == "255.255.255.255":
        raise RepositoryError(f"{host} is not the address of one host; expected that of the PBX node", "host")
