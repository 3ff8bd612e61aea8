"""The gateway's settings file. Times in seconds, sizes in bytes, unless a field says otherwise."""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from opx.gateway.faults.settings import Alarms, Metrics, Records, WebhookSettings
from opx.gateway.forwarding.settings import ForwardingSettings
from opx.gateway.settings_fields import (
    DialledNumber,
    Dscp,
    EventName,
    IPv4,
    NameServer,
    Port,
    Seconds,
    Table,
    Transport,
)
from opx.gateway.settings_store import Certificates, DatabasePlace, Postgresql
from opx.gateway.web.settings import Web
from opx.gateway.webservices.settings import WebServicesSettings
from opx.sip.session_timer import LOWEST
from opx.sip.transport.pulse import GAP
from opx.store.place import Place, PostgresAddress

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


class Registration(Table):
    """Gapped registration: sets register often, the ICP hears of it seldom."""

    set_min_expires: Annotated[int, Field(ge=10)] = 60
    set_default_expires: Annotated[int, Field(ge=10)] = 120
    set_max_expires: Annotated[int, Field(ge=10)] = 300
    icp_expires: Annotated[int, Field(ge=60)] = 3600
    icp_retry_min: Annotated[float, Field(gt=0)] = 2.0
    """Back-off at an ICP that does not answer: the first pause, doubled with each failure."""
    icp_retry_max: Seconds = 300.0
    """Back-off at an ICP that does not answer: the longest pause."""
    icp_patience: Seconds = 20.0
    """How long a set's first REGISTER waits for the ICP."""
    spread: Annotated[float, Field(gt=0)] = 50.0
    """Registrations a second after an ICP came back."""
    contacts_per_device: Annotated[int, Field(ge=1, le=10)] = 1
    """With 1 the newest registration replaces the one before."""

    @field_validator("set_default_expires", "set_max_expires", "icp_retry_max")
    @classmethod
    def _rising(cls, value: float, info: ValidationInfo) -> float:
        below = {
            "set_default_expires": "set_min_expires",
            "set_max_expires": "set_default_expires",
            "icp_retry_max": "icp_retry_min",
        }[info.field_name or ""]
        least = info.data.get(below)
        if least is not None and value < least:
            raise ValueError(f"{value:g} is below {below}; expected at least {least:g}")
        return value

    @field_validator("icp_expires")
    @classmethod
    def _gap(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("set_max_expires")
        if most is not None and value <= most:
            raise ValueError(
                f"{value} leaves no gap; expected far more than set_max_expires, which is {most}: "
                "sets register often, the ICP hears of it seldom"
            )
        return value


class KeepAlive(Table):
    """What keeps a way to a set open, through its NAT."""

    kind: Literal["OPTIONS", "CRLF"] = "OPTIONS"
    """CRLF asks for less, but over UDP nothing comes back."""
    interval: Annotated[float, Field(ge=0, le=180)] = 20.0
    """0 sends none."""
    idle_limit: Annotated[float, Field(ge=30)] = 300.0
    """A set that nothing was heard of for so long is out of service."""

    @field_validator("idle_limit")
    @classmethod
    def _longer(cls, value: float, info: ValidationInfo) -> float:
        interval = info.data.get("interval")
        if interval is not None and value <= interval:
            raise ValueError(f"{value:g} is not above interval; expected more than {interval:g}")
        return value


class Digest(Table):
    """How devices prove who they are (RFC 7616, RFC 8760)."""

    realm: Annotated[str, Field(max_length=255)] = ""
    """Fixed at the first start; made up when empty. A later change here has no effect on stored passwords."""
    algorithms: tuple[Literal["MD5", "SHA-256"], ...] = ("MD5",)
    """In the order of the challenges (RFC 8760). Phones of before it fail when SHA-256 comes first, some when it comes
    at all; add it where all devices know it. Stored passwords serve both."""
    nonce_lifetime: Annotated[float, Field(ge=10)] = 300.0
    nonces_tracked: Annotated[int, Field(ge=100)] = 100_000
    """Accepted nonces whose counts are remembered, against replay."""

    @field_validator("realm")
    @classmethod
    def _printable(cls, value: str) -> str:
        if not value.isascii() or (value and not value.isprintable()) or '"' in value or "\\" in value:
            raise ValueError("is no realm; expected plain ASCII text without quotes and backslashes")
        return value

    @field_validator("algorithms")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError('none, or one twice; expected "SHA-256", "MD5" or both, each once')
        return value


class Icps(Table):
    """How the gateway watches its ICPs."""

    probe_interval: Annotated[float, Field(ge=1)] = 10.0
    """Between two OPTIONS."""
    probe_patience: Annotated[float, Field(gt=0)] = 4.0
    """How long an OPTIONS waits for its answer until the ICP counts as gone."""
    retry_after: Annotated[int, Field(ge=1)] = 30
    """What sets are told while their ICP is gone."""
    max_retry_after: Annotated[int, Field(ge=1)] = 3600
    """A Retry-After of an ICP counts at most so much: for the node that sent it, and toward sets."""
    failback_after: Seconds = 60.0
    """A node that was gone serves again when it has answered for so long; at once while no other node does."""
    node_patience: Annotated[float, Field(ge=1)] = 5.0
    """A node that has not answered a call or a registration at all in this time is passed over for the next one."""
    call_tries: Annotated[int, Field(ge=1, le=10)] = 4
    """Nodes that one call tries."""
    redirects: Annotated[int, Field(ge=0, le=10)] = 3
    """Redirections that one call follows, at its own ICP only; 0 follows none."""

    @field_validator("probe_patience")
    @classmethod
    def _shorter(cls, value: float, info: ValidationInfo) -> float:
        interval = info.data.get("probe_interval")
        if interval is not None and value > interval:
            raise ValueError(f"{value:g} is above probe_interval; expected at most {interval:g}")
        return value


class Dns(Table):
    """How host names of ICPs are looked up: SRV where no port is given, then A (RFC 3263)."""

    nameservers: tuple[NameServer, ...] = ()
    """ADDRESS or ADDRESS:PORT. Without any those of this machine serve, and its hosts file."""
    timeout: Annotated[float, Field(gt=0)] = 5.0
    """For one question, however many name servers are asked."""
    min_ttl: Annotated[float, Field(ge=1)] = 30.0
    """An answer is used for at least so long, whatever its TTL."""
    max_ttl: Annotated[float, Field(ge=1)] = 3600.0
    """And for at most so long."""
    retry: Annotated[float, Field(ge=1)] = 10.0
    """The pause when a question came to nothing."""
    keep: Seconds = 86400.0
    """While DNS is away, its last good answer holds for so long beyond its TTL."""

    @field_validator("max_ttl")
    @classmethod
    def _rising(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("min_ttl")
        if least is not None and value < least:
            raise ValueError(f"{value:g} is below min_ttl; expected at least {least:g}")
        return value


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


class CallSettings(Table):
    """Session timers (RFC 4028): how a call whose far end is gone without a word is noticed, on each leg by itself."""

    session_expires: Annotated[int, Field(ge=LOWEST)] = 1800
    """What the gateway asks for and at most grants; a call is refreshed after half of it."""
    min_se: Annotated[int, Field(ge=LOWEST)] = LOWEST
    """Whoever asks for less gets 422."""

    @field_validator("min_se")
    @classmethod
    def _not_above(cls, value: int, info: ValidationInfo) -> int:
        most = info.data.get("session_expires")
        if most is not None and value > most:
            raise ValueError(f"{value} is above session_expires; expected at most {most}")
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


_EVENTS = ("check-sync", "resync", "reboot", "message-summary", "aastra-xml", "talk", "hold")


class Subscriptions(Table):
    """What passes between phones and ICPs beside calls: subscriptions, notifications, text messages."""

    packages: tuple[Literal["message-summary", "dialog", "presence"], ...] = ("message-summary", "dialog", "presence")
    """Event packages that sets may subscribe to: those whose bodies can be written anew."""
    min_expires: Annotated[int, Field(ge=10, le=3600)] = 60
    default_expires: Annotated[int, Field(ge=10)] = 600
    max_expires: Annotated[int, Field(ge=10)] = 1800
    """After a crash of the gateway a lamp stays as it is until its phone refreshes: at most so long."""
    icp_expires: Annotated[int, Field(ge=60)] = 3600
    """What the gateway asks its ICPs for."""
    spread: Annotated[float, Field(gt=0)] = 50.0
    """Subscriptions a second after an ICP came back."""
    events: tuple[EventName, ...] = _EVENTS
    """Events that an ICP may notify a phone of without a subscription."""
    xml_bytes: Annotated[int, Field(ge=0, le=32768)] = 10_000
    """Longest body of an aastra-xml notification; the phones take no more."""
    inside_links: bool = False
    """Lets aastra-xml bodies pass that name hosts of the inside: for phones that reach those by another way."""

    @field_validator("default_expires", "max_expires")
    @classmethod
    def _rising(cls, value: int, info: ValidationInfo) -> int:
        below = "min_expires" if info.field_name == "default_expires" else "default_expires"
        least = info.data.get(below)
        if least is not None and value < least:
            raise ValueError(f"{value} is below {below}; expected at least {least}")
        return value


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
        if isinstance(self.database, PostgresAddress):
            return Place(server=self.database, policy=self.postgresql.policy)
        return Place(file=self.database.absolute())
