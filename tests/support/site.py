"""A gateway's signalling between a phone and an ICP, all in memory."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from opx import sdp
from opx.gateway.media.interface import RelayPorts, Side
from opx.gateway.repository import DeviceRecord, IcpRecord
from opx.gateway.signalling.bindings import LiveBinding
from opx.gateway.signalling.call_log import CallLog
from opx.gateway.signalling.signalling import Signalling, SignallingPolicy
from opx.gateway.signalling.timeline import Entry, Timeline
from opx.sip.agent import new_tag
from opx.sip.digest import Algorithm, DigestClient, DigestVerifier, ha1
from opx.sip.events import SessionEvent
from opx.sip.flow import Address, Destination
from opx.sip.message import Request
from opx.sip.nonces import NonceIssuer
from opx.sip.registration import ClientRegistration, RegistrationPolicy, RegistrationResult
from opx.sip.session import Headers, Session
from opx.sip.transactions import ServerTransaction
from support.sipnet import Face, Node, Wire

REALM = "gateway.test"
OUTSIDE, INSIDE, ICP = "198.51.100.1", "10.9.8.1", "10.9.8.20"
HOME = "203.0.113.7"
INNER = re.compile(rb"10\.9\.8\.\d+|icp\.test|icp-1|opx=1")
"""What may never stand in a message toward the set side."""


def device(number: int, **changes: object) -> DeviceRecord:
    """Device n: set side tw<n> with password set-<n>, ICP side 100<n> with password icp-<n>."""
    username = f"tw{number}"
    hashes = {a.value: ha1(a, username, REALM, f"set-{number}") for a in Algorithm}
    values: dict[str, object] = {
        "id": number,
        "enabled": True,
        "description": "",
        "icp_id": 1,
        "set_username": username,
        "set_ha1": hashes,
        "icp_username": f"100{number}",
        "icp_password": f"icp-{number}",
        "revision": 1,
    }
    return DeviceRecord(**{**values, **changes})  # type: ignore[arg-type]


class FakeDesk:
    """A relay that carries nothing and notes what it is told."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, ...]] = []
        self.open_calls: set[str] = set()
        self.full = False
        self._port = 20000

    def open(self, call_id: str, on_open: Callable[[RelayPorts | None], None]) -> None:
        self.orders.append(("open",))
        if self.full:
            on_open(None)
            return
        self.open_calls.add(call_id)
        self._port += 4
        on_open(RelayPorts(self._port, self._port + 2))

    def connect(self, call_id: str, side: Side, expected: str | None, hint: Address | None) -> None:
        self.orders.append(("connect", side.value, str(expected), str(hint[1]) if hint else "-"))

    def relatch(self, call_id: str, side: Side) -> None:
        self.orders.append(("relatch", side.value))

    def hold(self, call_id: str, on: bool) -> None:
        self.orders.append(("hold", str(on)))

    def close(self, call_id: str) -> None:
        self.orders.append(("close",))
        self.open_calls.discard(call_id)


class FakeStore:
    def __init__(self) -> None:
        self.kept: dict[tuple[int, str], LiveBinding] = {}

    def save(self, binding: LiveBinding) -> None:
        self.kept[binding.device_id, binding.contact] = binding

    def delete(self, binding: LiveBinding) -> None:
        self.kept.pop((binding.device_id, binding.contact), None)


def description(address: str, port: int, direction: sdp.Direction = sdp.Direction.SENDRECV, version: int = 1) -> bytes:
    """A plain offer or answer."""
    return sdp.encode(sdp.offer(address, port, origin=sdp.Origin.of(address, 7, version), direction=direction))


@dataclass
class Phone:
    """A remote phone, driven by the test."""

    site: "Site"
    number: int
    address: Address
    password: str = ""
    results: list[RegistrationResult] = field(default_factory=list)
    events: list[SessionEvent] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    challenge: bool = False
    handlers: dict[str, Callable[[ServerTransaction], None]] = field(default_factory=dict)
    """What the phone does with requests that are no calls, by method."""
    local: Address | None = None
    """What it takes its own address for; a private one by default."""

    def __post_init__(self) -> None:
        self.node = Node(
            self.site.wire,
            f"phone{self.number}",
            self.address,
            on_request_do=self._on_request,
            local=self.local or (f"192.168.1.{self.number}", 5060),
        )
        self.credentials = DigestClient(f"tw{self.number}", self.password or f"set-{self.number}")
        self.registration = ClientRegistration(
            self.node.agent,
            Destination("UDP", OUTSIDE, 5060),
            aor=f"sip:tw{self.number}@{OUTSIDE}",
            registrar=f"sip:{OUTSIDE}",
            contact=self.contact,
            credentials=self.credentials,
            on_result=self.results.append,
            policy=RegistrationPolicy(expires=300),
        )

    @property
    def contact(self) -> str:
        return f"sip:tw{self.number}@192.168.1.{self.number}:5060"

    @property
    def last(self) -> RegistrationResult:
        return self.results[-1]

    def register(self) -> None:
        self.registration.start()
        self.site.wire.advance(0.1)

    def call(self, number: str, offer: bytes | None = None, headers: Headers = ()) -> Session:
        session = Session.call(
            self.node.agent,
            self.events.append,
            Destination("UDP", OUTSIDE, 5060),
            uri=f"sip:{number}@{OUTSIDE}",
            from_=f'"Home" <sip:tw{self.number}@{OUTSIDE}>',
            to=f"<sip:{number}@{OUTSIDE}>",
            contact=self.contact,
            sdp=description("192.168.1.7", 40000) if offer is None else offer,
            credentials=self.credentials,
            headers=headers,
        )
        self.sessions.append(session)
        self.site.wire.deliver()
        return session

    def _on_request(self, transaction: ServerTransaction) -> None:
        if transaction.method == "INVITE":
            session = Session.incoming(self.node.agent, self.events.append, transaction, contact=self.contact)
            self.sessions.append(session)
            session.progress(180)
        elif transaction.method in self.handlers:
            self.handlers[transaction.method](transaction)


@dataclass
class FakeIcp:
    """An ICP that asks for the ICP-side credentials, and whose moods a test sets."""

    site: "Site"
    address: Address = (ICP, 5060)
    name: str = "icp"
    says: dict[str, tuple[int, tuple[tuple[str, str], ...]]] = field(default_factory=dict)
    """What it answers to a method, without asking for credentials: status and headers."""
    passwords: dict[str, str] = field(default_factory=dict)
    refuse_credentials: bool = False
    granted: int = 0
    min_expires: int = 0
    silent: bool = False
    registers: list[Request] = field(default_factory=list)
    contacts: dict[str, str] = field(default_factory=dict)
    events: list[SessionEvent] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    handlers: dict[str, Callable[[ServerTransaction], None]] = field(default_factory=dict)
    """What the ICP does with requests that are no calls, by method, once their credentials are right."""

    def __post_init__(self) -> None:
        self.node = Node(self.site.wire, self.name, self.address, on_request_do=self._on_request)
        self.node.on_options_do = lambda t: (
            self._say(t) if "OPTIONS" in self.says else self.node.agent.answer_options(t)
        )
        self.verifier = DigestVerifier("icp.test", NonceIssuer(b"icp", 3600.0))

    def _ha1(self, username: str, algorithm: Algorithm) -> str | None:
        password = "changed" if self.refuse_credentials else self.passwords.get(username, f"icp-{username[3:]}")
        return ha1(algorithm, username, "icp.test", password)

    @property
    def uri(self) -> str:
        return f"sip:{self.address[0]}:{self.address[1]}"

    def die(self) -> None:
        """Nothing reaches it any more."""
        self.site.wire.agents.pop(self.address, None)

    def revive(self) -> None:
        self.site.wire.agents[self.address] = self.node.agent

    def _on_options(self, transaction: ServerTransaction) -> None:
        if "OPTIONS" in self.says:
            self._say(transaction)
        else:
            self.node.agent.answer_options(transaction)

    def _say(self, transaction: ServerTransaction) -> None:
        status, headers = self.says[transaction.method]
        response = transaction.request.reply(status, to_tag=new_tag())
        for header, value in headers:
            response.add(header, value)
        transaction.respond(response)

    def _on_request(self, transaction: ServerTransaction) -> None:
        if transaction.method in self.says:
            self._say(transaction)
            return
        request = transaction.request
        name = "authorization" if transaction.method == "REGISTER" else "proxy-authorization"
        now = self.site.wire.wheel.now
        verdict = self.verifier.verify(request.method, request.get_all(name), self._ha1, now, request.uri)
        if not verdict.ok:
            proxy = name.startswith("proxy")
            response = request.reply(407 if proxy else 401, to_tag=new_tag())
            for header, value in self.verifier.challenges(now, proxy=proxy):
                response.add(header, value)
            transaction.respond(response)
        elif transaction.method == "REGISTER":
            self._register(transaction, verdict.username)
        elif transaction.method in self.handlers:
            self.handlers[transaction.method](transaction)
        else:
            session = Session.incoming(self.node.agent, self.events.append, transaction, contact=self.uri)
            self.sessions.append(session)
            session.progress(180)

    def _register(self, transaction: ServerTransaction, username: str) -> None:
        request = transaction.request
        self.registers.append(request)
        asked = request.expires or 0
        if 0 < asked < self.min_expires:
            response = request.reply(423, to_tag=new_tag())
            response.add("min-expires", str(self.min_expires))
            transaction.respond(response)
            return
        contact = str(request.contacts[0].uri)
        if asked:
            self.contacts[username] = contact
        else:
            self.contacts.pop(username, None)
        response = request.reply(200, to_tag=new_tag())
        if asked:
            response.add("contact", f"<{contact}>;expires={self.granted or asked}")
        transaction.respond(response)

    def call(
        self, username: str, offer: bytes | None = None, display: str = "Office", headers: Headers = ()
    ) -> Session:
        session = Session.call(
            self.node.agent,
            self.events.append,
            Destination("UDP", INSIDE, 5060),
            uri=self.contacts[username],
            from_=f'"{display}" <sip:1002@{self.address[0]}>',
            to=f"<sip:{username}@{self.address[0]}>",
            contact=self.uri,
            sdp=description("10.9.8.101", 6100) if offer is None else offer,
            headers=(("p-asserted-identity", f'"{display}" <sip:1002@{self.address[0]}>'), *headers),
        )
        self.sessions.append(session)
        self.site.wire.deliver()
        return session


class Site:
    """Signalling with devices 1 and 2, an ICP, and phones as a test makes them."""

    def __init__(
        self, policy: SignallingPolicy | None = None, devices: int = 2, call_log: CallLog | None = None
    ) -> None:
        self.wire = Wire()
        self.desk = FakeDesk()
        self.store = FakeStore()
        self.entries: list[Entry] = []
        self.signalling = Signalling(
            wheel=self.wire.wheel,
            set_flows=Face((OUTSIDE, 5060)),
            icp_flows=Face((INSIDE, 5060)),
            verifier=DigestVerifier(REALM, NonceIssuer(b"gateway", 300.0)),
            desk=self.desk,
            media_addresses={Side.SET: OUTSIDE, Side.ICP: INSIDE},
            timeline=Timeline([self.entries.append], clock=lambda: self.wire.wheel.now),
            store=self.store,
            policy=policy or SignallingPolicy(),
            call_log=call_log,
        )
        self.wire.attach("gateway", (OUTSIDE, 5060), self.signalling.set_agent)
        self.wire.attach("gateway", (INSIDE, 5060), self.signalling.icp_agent)
        self.icp = FakeIcp(self)
        self.icp_records = [IcpRecord(1, "Node 1", "MiVoice Office 250", ICP, 5060, "UDP")]
        self.devices = [device(number) for number in range(1, devices + 1)]
        self.load()
        self.signalling.start()
        self.wire.advance(0.1)

    def load(self) -> None:
        """Give signalling what the database would."""
        self.signalling.replace_content(self.icp_records, self.devices)

    def phone(
        self, number: int, host: str = HOME, port: int = 40001, password: str = "", local: Address | None = None
    ) -> Phone:
        return Phone(self, number, (host, port), password, local=local)

    def texts(self) -> list[str]:
        """What the timelines say."""
        return [entry.text for entry in self.entries]

    def set_side_bytes(self) -> bytes:
        """All that left the gateway toward the set side."""
        return b"".join(carried.data for carried in self.wire.log if carried.source == (OUTSIDE, 5060))
