"""The gateway's settings file. Times in seconds, sizes in bytes, unless a field says otherwise."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from opx.config import Settings


def _ipv4(value: str) -> str:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise ValueError(f"{value!r} is no address; expected an IPv4 address of this machine") from None
    if address.version != 4:
        raise ValueError(f"{value!r} is IPv6; expected IPv4, media is carried over IPv4 only so far")
    if address.is_unspecified:
        raise ValueError("a wildcard address; expected one address of this machine, nothing listens everywhere")
    return value


IPv4 = Annotated[str, AfterValidator(_ipv4)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0)]
Transport = Literal["UDP", "TCP"]


class Face(Settings):
    """One side of the gateway: where it listens and sends from."""

    address: IPv4
    port: Port = 5060
    transports: tuple[Transport, ...] = ("UDP", "TCP")
    dscp: Annotated[int, Field(ge=0, le=63)] = 24
    """DSCP of signalling; 24 is CS3."""

    @field_validator("transports")
    @classmethod
    def _some(cls, value: tuple[Transport, ...]) -> tuple[Transport, ...]:
        if not value:
            raise ValueError('no transport at all; expected "UDP", "TCP" or both')
        return value


class Registration(Settings):
    """Gapped registration: sets register often, the ICP hears of it seldom."""

    set_min_expires: Annotated[int, Field(ge=10)] = 60
    set_default_expires: Annotated[int, Field(ge=10)] = 120
    set_max_expires: Annotated[int, Field(ge=10)] = 300
    icp_expires: Annotated[int, Field(ge=60)] = 3600
    icp_retry_min: Seconds = 2.0
    icp_retry_max: Seconds = 300.0
    icp_patience: Seconds = 20.0
    """How long a set's first REGISTER waits for the ICP."""
    spread: Annotated[float, Field(gt=0)] = 50.0
    """Registrations a second after an ICP came back."""
    contacts_per_device: Annotated[int, Field(ge=1, le=10)] = 1
    """With 1 the newest registration replaces the one before."""

    @model_validator(mode="after")
    def _ordered(self) -> "Registration":
        if not self.set_min_expires <= self.set_default_expires <= self.set_max_expires:
            raise ValueError("set_min_expires, set_default_expires and set_max_expires; expected in rising order")
        if self.set_max_expires >= self.icp_expires:
            raise ValueError("set_max_expires reaches icp_expires; expected far below it, that is the gap")
        return self


class KeepAlive(Settings):
    kind: Literal["OPTIONS", "CRLF"] = "OPTIONS"
    interval: Annotated[float, Field(ge=0, le=180)] = 20.0
    """0 sends none."""
    idle_limit: Annotated[float, Field(ge=30)] = 300.0
    """A set that nothing was heard of for so long is out of service."""


class Digest(Settings):
    realm: str = ""
    """Fixed at the first start; made up when empty. A later change here has no effect on stored passwords."""
    algorithms: tuple[Literal["MD5", "SHA-256"], ...] = ("MD5",)
    """In the order of the challenges (RFC 8760). Phones of before it fail when SHA-256 comes first, some when it comes
    at all; add it where all devices know it. Stored passwords serve both."""
    nonce_lifetime: Annotated[float, Field(ge=10)] = 300.0
    nonces_tracked: Annotated[int, Field(ge=100)] = 100_000

    @field_validator("algorithms")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError('expected "SHA-256", "MD5" or both, each once')
        return value


class Icps(Settings):
    probe_interval: Annotated[float, Field(ge=1)] = 10.0
    probe_patience: Annotated[float, Field(gt=0)] = 4.0
    retry_after: Annotated[int, Field(ge=1)] = 30
    resolve_interval: Annotated[float, Field(ge=5)] = 60.0
    """How often host names of ICPs are looked up again."""


class Media(Settings):
    rtp_ports: tuple[Port, Port] = (20000, 30999)
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    """Relay processes; 0 carries media in the signalling process."""
    latch_window: Annotated[float, Field(gt=0)] = 10.0
    silence_timeout: Annotated[float, Field(ge=5)] = 60.0
    reuse_delay: Seconds = 5.0
    dscp: Annotated[int, Field(ge=0, le=63)] = 46
    """DSCP of voice; 46 is EF."""

    @field_validator("rtp_ports")
    @classmethod
    def _range(cls, value: tuple[int, int]) -> tuple[int, int]:
        first, last = value
        if first % 2 or first < 1024 or last - first < 3:
            raise ValueError("expected an even first port from 1024 on and a last one well above it")
        return value


class Limits(Settings):
    licences: Annotated[int, Field(ge=0)] | None = None
    """Teleworker licences: devices registered at the same time. Without it there is no limit."""
    calls: Annotated[int, Field(ge=1)] = 1000
    calls_per_device: Annotated[int, Field(ge=1)] = 4
    retry_after: Annotated[int, Field(ge=1)] = 10
    emergency_numbers: tuple[str, ...] = ("112", "911", "999", "000")
    """Calls to these pass every limit."""
    udp_buffer: Annotated[int, Field(ge=65536)] = 4 * 1024 * 1024
    connections: Annotated[int, Field(ge=1)] = 10_000
    connections_per_source: Annotated[int, Field(ge=1)] = 100


class GatewaySettings(Settings):
    """The whole file."""

    database: Path = Path("gateway.db")
    key_file: Path = Path("gateway.key")
    control_socket: Path = Path("gateway.sock")
    import_file: Path | None = None
    """ICPs and devices to take over at every start."""
    permit_weak_passwords: bool = False
    set_side: Face
    icp_side: Face
    registration: Registration = Registration()
    keep_alive: KeepAlive = KeepAlive()
    digest: Digest = Digest()
    icps: Icps = Icps()
    media: Media = Media()
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _apart(self) -> "GatewaySettings":
        if self.set_side.address == self.icp_side.address:
            raise ValueError("set_side.address and icp_side.address are the same; expected the outside and the inside")
        return self

    @property
    def database_url(self) -> str:
        return f"sqlite+aiosqlite:///{self.database.absolute()}"
