"""The gateway's settings file. Times in seconds, sizes in bytes, unless a field says otherwise."""

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from opx.gateway.faults.settings import Alarms, Metrics, Records, WebhookSettings
from opx.gateway.forwarding.settings import ForwardingSettings
from opx.gateway.signalling.settings import (
    CallSettings,
    Digest,
    Dns,
    Icps,
    KeepAlive,
    Registration,
    Subscriptions,
    Timers,
)
from opx.gateway.webservices.settings import WebServicesSettings
from opx.settings_fields import (
    DialledNumber,
    Dscp,
    IPv4,
    Port,
    Seconds,
    Table,
    Transport,
)
from opx.settings_store import Certificates, DatabasePlace, Postgresql, place_of
from opx.sip.transport.pulse import GAP
from opx.store.place import Place
from opx.web.settings import Web

MIN_PORTS_PER_WORKER = 4
"""A call takes two ports per side; less than two calls are no slice worth a process."""


class Face(Table):
    """One side of the gateway: where it listens and sends from."""

    address: IPv4
    prefix: Annotated[int, Field(ge=1, le=32)] = 24
    """Length of the network's prefix in bits; tells whether outside and inside are different networks."""
    port: Port = 5060
    transports: tuple[Transport, ...] = ("UDP", "TCP")
    dscp: Dscp = 24
    """DSCP of signalling; 24 is CS3."""

    @field_validator("transports")
    @classmethod
    def _some(cls, value: tuple[Transport, ...]) -> tuple[Transport, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError('no transport, or one twice; expected "UDP", "TCP" or both')
        return value

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"{self.address}/{self.prefix}", strict=False)


class Media(Table):
    """The media relay."""

    rtp_ports: tuple[Port, Port] = (20000, 30999)
    """First and last port, on both sides. RTP on even ones, RTCP on the next."""
    workers: Annotated[int, Field(ge=0, le=64)] = 1
    """Relay processes; 0 carries media in the signalling process."""
    latch_window: Annotated[float, Field(gt=0)] = 10.0
    """How long a call waits for the first packet that shows a set's real port."""
    silence_timeout: Annotated[float, Field(ge=5)] = 60.0
    """A call that is not on hold ends when nothing is heard in both directions for so long."""
    reuse_delay: Seconds = 5.0
    """How long a port rests after its call, so that late packets reach no stranger."""
    dscp: Dscp = 46
    """DSCP of voice; 46 is EF."""

    @field_validator("rtp_ports")
    @classmethod
    def _range(cls, value: tuple[int, int]) -> tuple[int, int]:
        first, last = value
        if first % 2 or first < 1024 or last - first < 3:
            raise ValueError(
                f"{first} to {last} is no range; expected an even first port from 1024 on and a last one well above it"
            )
        return value

    @field_validator("workers")
    @classmethod
    def _enough(cls, value: int, info: ValidationInfo) -> int:
        first, last = info.data.get("rtp_ports", (0, 65535))
        most = (last - first + 1) // MIN_PORTS_PER_WORKER
        if value > most:
            raise ValueError(f"{value} is too many for ports {first} to {last}; expected at most {most}")
        return value


class Limits(Table):
    """Bounds, so that no one can take all there is."""

    licences: Annotated[int, Field(ge=0)] | None = None
    """Teleworker licences: devices registered at the same time. Without it there is no limit."""
    calls: Annotated[int, Field(ge=1)] = 1000
    """Calls at the same time."""
    calls_per_device: Annotated[int, Field(ge=1)] = 4
    retry_after: Annotated[int, Field(ge=1)] = 10
    """What a caller over a limit is told."""
    subscriptions: Annotated[int, Field(ge=0)] = 20_000
    """Subscriptions of sets at the same time: lamps, messages waiting, presence."""
    subscriptions_per_device: Annotated[int, Field(ge=0)] = 100
    """A phone with all its expansion modules has some ninety keys."""
    messages_per_minute: Annotated[int, Field(ge=0)] = 30
    """Text messages that one device may send."""
    emergency_numbers: tuple[DialledNumber, ...] = ("112", "911", "999", "000")
    """Calls to these pass every limit."""
    udp_buffer: Annotated[int, Field(ge=65536)] = 4 * 1024 * 1024
    """Receive and send buffer of a UDP socket."""
    gather: Annotated[float, Field(ge=0.0, le=0.1)] = GAP
    """Seconds that messages wait for each other under load, which is cheaper than a wake-up for each; 0: never."""
    connections: Annotated[int, Field(ge=1)] = 10_000
    """TCP connections at the same time."""
    connections_per_source: Annotated[int, Field(ge=1)] = 100
    """TCP connections of one address; many sets may share one behind their NAT."""


class GatewaySettings(Table):
    """The whole file. Relative paths start at its folder."""

    database: DatabasePlace = Path("gateway.db")
    """A file (SQLite), or `postgresql://USER@HOST:PORT/DATABASE`."""
    key_file: Path = Path("gateway.key")
    """Opens the secrets in the database. Back it up apart from that."""
    control_socket: Path = Path("gateway.sock")
    """Where `opx gateway` tells the running gateway what has changed."""
    spool: Path | None = None
    """Registrations that the database does not have yet, so that none is lost when the process is killed. Left out:
    beside the database, or beside the key file where that is on a server."""
    import_file: Path | None = None
    """ICPs and devices to take over at every start."""
    permit_weak_passwords: bool = False
    """Lets set-side passwords in that are quickly guessed."""
    allow_same_network: bool = False
    """For trials: outside and inside may be addresses of one network."""
    set_side: Face
    icp_side: Face
    timers: Timers = Timers()
    registration: Registration = Registration()
    keep_alive: KeepAlive = KeepAlive()
    digest: Digest = Digest()
    icps: Icps = Icps()
    dns: Dns = Dns()
    calls: CallSettings = CallSettings()
    media: Media = Media()
    limits: Limits = Limits()
    subscriptions: Subscriptions = Subscriptions()
    web_services: WebServicesSettings = WebServicesSettings()
    certificates: Certificates = Certificates()
    postgresql: Postgresql = Postgresql()
    web: Web = Web()
    forwarding: ForwardingSettings = ForwardingSettings()
    records: Records = Records()
    webhook: WebhookSettings = WebhookSettings()
    alarms: Alarms = Alarms()
    metrics: Metrics = Metrics()

    @field_validator("key_file")
    @classmethod
    def _apart_from_database(cls, value: Path, info: ValidationInfo) -> Path:
        if value == info.data.get("database"):
            raise ValueError("is the database; expected a file of its own")
        return value

    @field_validator("icp_side")
    @classmethod
    def _other_network(cls, value: Face, info: ValidationInfo) -> Face:
        outside = info.data.get("set_side")
        if outside is None:
            return value
        if outside.address == value.address:
            raise ValueError(f"has set_side's address {value.address}; expected the gateway's address inside")
        if outside.network.overlaps(value.network) and not info.data.get("allow_same_network"):
            raise ValueError(
                f"is in one network with set_side ({value.network}, {outside.network}); expected different ones "
                "(prefix says how large they are, allow_same_network = true permits it)"
            )
        return value

    @field_validator("keep_alive")
    @classmethod
    def _heard_of(cls, value: KeepAlive, info: ValidationInfo) -> KeepAlive:
        registration = info.data.get("registration")
        if value.interval == 0 and registration is not None and registration.set_max_expires >= value.idle_limit:
            raise ValueError(
                f"nothing is sent and idle_limit is {value.idle_limit:g}; expected an interval, or "
                f"an idle_limit above registration.set_max_expires, which is {registration.set_max_expires}"
            )
        return value

    @field_validator("media")
    @classmethod
    def _no_clash(cls, value: Media, info: ValidationInfo) -> Media:
        first, last = value.rtp_ports
        for side in ("set_side", "icp_side"):
            face = info.data.get(side)
            if face is not None and first <= face.port <= last:
                raise ValueError(
                    f"rtp_ports {first} to {last} hold {side}.port {face.port}; expected a range without it"
                )
        return value

    @field_validator("web")
    @classmethod
    def _own_port(cls, value: Web, info: ValidationInfo) -> Web:
        for side in ("set_side", "icp_side"):
            face = info.data.get(side)
            if face is None or "TCP" not in face.transports:
                continue
            at = value.address or (face.address if side == "icp_side" else None)
            if at == face.address and value.port == face.port:
                raise ValueError(f"port {value.port} is {side}.port on the same address; expected another one")
        return value

    @field_validator("forwarding")
    @classmethod
    def _in_the_kernel(cls, value: ForwardingSettings, info: ValidationInfo) -> ForwardingSettings:
        for side in ("set_side", "icp_side"):
            face = info.data.get(side)
            if value.driver == "nftables" and face is not None and ipaddress.ip_address(face.address).is_loopback:
                raise ValueError(
                    f'driver is "nftables" and {side}.address {face.address} loopback, where the kernel forwards '
                    'nothing; expected "userspace" or "auto"'
                )
        return value

    @property
    def web_address(self) -> str:
        return self.web.address or self.icp_side.address

    @property
    def web_url(self) -> str:
        return f"https://{self.web_address}:{self.web.port}/"

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Of the web face's HTTPS server."""
        return tuple(dict.fromkeys((self.web_address, *self.certificates.names)))

    @property
    def spool_path(self) -> Path:
        if self.spool is not None:
            return self.spool
        kept = self.database if isinstance(self.database, Path) else self.key_file
        return kept.with_suffix(".spool")

    @property
    def database_place(self) -> Place:
        return place_of(self.database, self.postgresql, "opx gateway")
