"""An office in memory: a PBX node and desk phones that the test drives."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from opx import sdp
from opx.pbx.features.states import FeatureState
from opx.pbx.node import PbxNode
from opx.pbx.options import NodeOptions
from opx.pbx.repository import ExtensionRecord
from opx.rtp.tones import Tone
from opx.sip import events
from opx.sip.agent import ALLOW
from opx.sip.digest import Algorithm, DigestClient, DigestVerifier
from opx.sip.flow import Destination
from opx.sip.message import Request
from opx.sip.nonces import NonceIssuer
from opx.sip.registration import ClientRegistration, RegistrationResult
from opx.sip.replaces import DialogName, ReferTo, Replaces
from opx.sip.session import Session
from opx.sip.subscriber import Subscriber, SubscriberEvent, SubscriberPolicy
from opx.sip.subscription import EventType
from opx.sip.transactions import ServerTransaction
from opx.sip.uri import Uri
from support.sipnet import Face, Node, Wire

PBX = ("10.9.8.20", 5060)
NODE_SDP = sdp.encode(sdp.offer(PBX[0], 6100, origin=sdp.Origin.of(PBX[0], 1, 1)))


class Prompt:
    """The media of a call that the node answers, without packets: the test presses keys and sees the tones."""

    def __init__(self) -> None:
        self.on_digit: Callable[[str], None] = lambda digit: None
        self.tones: list[Tone] = []
        self.closed = False

    def answer(self, offer: bytes) -> bytes:
        return NODE_SDP

    def answered(self, sdp: bytes) -> None:
        """Nothing depends on it."""

    def play(self, tone: Tone) -> None:
        self.tones.append(tone)

    def close(self) -> None:
        self.closed = True


class Desk:
    """An office phone. It rings (180) by itself; everything else the test tells it."""

    def __init__(self, office: "Office", number: str, host: str) -> None:
        self.node = Node(
            office.wire, number, (host, 5060), on_request_do=self._on_request, allow=f"{ALLOW}, REFER, INFO"
        )
        self.events: list[events.SessionEvent] = []
        self.answers_offers = False
        """Answer re-INVITEs by itself."""
        self.sessions: list[Session] = []
        self.invites: list[Request] = []
        self.notices: list[Request] = []
        """NOTIFYs that came outside of any subscription."""
        self.subscribers: list[Subscriber] = []
        self.results: list[RegistrationResult] = []
        self.number = number
        self.sdp = sdp.encode(sdp.offer(host, 6000, origin=sdp.Origin.of(host, 1, 1)))
        self.credentials = DigestClient(number, f"pw-{number}")
        self.registration = ClientRegistration(
            self.node.agent,
            Destination("UDP", *PBX),
            aor=f"sip:{number}@{PBX[0]}",
            registrar=f"sip:{PBX[0]}",
            contact=f"sip:{number}@{host}:5060",
            credentials=self.credentials,
            on_result=self.results.append,
        )

    @property
    def last(self) -> Session:
        return self.sessions[-1]

    def call(self, number: str, headers: Sequence[tuple[str, str]] = (), description: bytes | None = None) -> Session:
        """`description` b"" makes no offer."""
        session = Session.call(
            self.node.agent,
            lambda event: self._listen(session, event),
            Destination("UDP", *PBX),
            uri=f"sip:{number}@{PBX[0]}",
            from_=f"<sip:{self.number}@{PBX[0]}>",
            to=f"<sip:{number}@{PBX[0]}>",
            contact=f"sip:{self.number}@{self.node.address[0]}",
            sdp=self.sdp if description is None else description,
            credentials=self.credentials,
            headers=headers,
        )
        self.sessions.append(session)
        return session

    def _listen(self, session: Session, event: events.SessionEvent) -> None:
        self.events.append(event)
        if isinstance(event, events.Offered) and self.answers_offers:
            session.answer_offer(self.sdp)

    def named(self, session: Session) -> DialogName:
        """A dialog of this phone as Replaces names it to the node; an early one as the node's 180 made it."""
        dialog = session.dialog
        if dialog is not None:
            return DialogName(dialog.call_id, dialog.remote_tag, dialog.local_tag)
        ringing = next(
            carried.message
            for carried in reversed(self.node.wire.log)
            if carried.what == "180" and carried.message.call_id == session.call_id
        )
        return DialogName(session.call_id, ringing.to_tag, ringing.from_tag)

    def refer(self, session: Session, number: str, replaces: Replaces | None = None) -> list[int]:
        """Ask the node to transfer the partner; the final status of the REFER comes into the list."""
        statuses: list[int] = []
        session.refer(ReferTo(Uri("sip", number, None, PBX[0]), replaces), statuses.append)
        return statuses

    @property
    def told(self) -> list[tuple[int, bool]]:
        """What the node told of a transfer."""
        return [(event.status, event.over) for event in self.events if isinstance(event, events.TransferProgress)]

    def watch(
        self, event: str, number: str, *, expires: int = 600, accept: Sequence[str] = ()
    ) -> list[SubscriberEvent]:
        """Subscribe to an event package of an extension; what comes collects in the list."""
        heard: list[SubscriberEvent] = []
        subscriber = Subscriber(
            self.node.agent,
            heard.append,
            Destination("UDP", *PBX),
            uri=f"sip:{number}@{PBX[0]}",
            from_=f"<sip:{self.number}@{PBX[0]}>",
            to=f"<sip:{number}@{PBX[0]}>",
            contact=f"sip:{self.number}@{self.node.address[0]}",
            event=EventType.parse(event),
            accept=accept,
            credentials=self.credentials,
            policy=SubscriberPolicy(expires=expires),
        )
        self.subscribers.append(subscriber)
        subscriber.start()
        return heard

    def _on_request(self, transaction: ServerTransaction) -> None:
        if transaction.method == "INVITE":
            session = Session.incoming(
                self.node.agent,
                lambda event: self._listen(session, event),
                transaction,
                contact=f"sip:{self.number}@{self.node.address[0]}",
            )
            self.sessions.append(session)
            self.invites.append(transaction.request)
            session.progress(180)
        else:
            self.notices.append(transaction.request)
            transaction.reply(200, to_tag="n")


class Office:
    """A node with the extensions 1001 to 1005 and the hot desk extension 1500, whose PIN is 2468.

    `desks` are those that have a registered phone. PINs are kept as they are.
    """

    def __init__(self, desks: Sequence[str] = ("1001", "1002"), *, options: NodeOptions | None = None) -> None:
        self.wire = Wire()
        self.said: list[str] = []
        self.prompts: list[Prompt] = []
        records = {n: ExtensionRecord(n, f"Desk {n}", "SIP", f"pw-{n}") for n in map(str, range(1001, 1006))}
        records["1500"] = ExtensionRecord("1500", "Guest", "SIP hot desk", "pw-1500")
        self.node = PbxNode(
            wheel=self.wire.wheel,
            flows=Face(PBX),
            verifier=DigestVerifier("pbx", NonceIssuer(b"k"), [Algorithm.MD5]),
            extensions=records,
            tests={},
            prompts=self._prompt,
            check_pin=lambda kept, pin, done: done(bool(kept) and kept == pin),
            states={"1500": FeatureState(pin="2468")},
            options=options,
            on_event=self.said.append,
        )
        self.wire.attach("pbx", PBX, self.node.agent)
        self.desks = {number: self.desk(number) for number in desks}

    def desk(self, number: str, *, registered: bool = True) -> Desk:
        """A phone of that extension at an address of its own."""
        desk = Desk(self, number, f"10.9.8.{int(number) % 1000 + 100}" if number < "1100" else "10.9.8.200")
        if registered:
            desk.registration.start()
            self.wire.advance(0.1)
            assert desk.results[-1].status == 200
        return desk

    @property
    def one(self) -> Desk:
        return self.desks["1001"]

    @property
    def two(self) -> Desk:
        return self.desks["1002"]

    @property
    def three(self) -> Desk:
        return self.desks["1003"]

    def set(self, number: str, **features: object) -> None:
        self.node.states.put(number, replace(self.node.states.of(number), **features))  # type: ignore[arg-type]

    def connected(self, caller: str = "1001", called: str = "1002") -> Session:
        """The first talks with the second; the caller's session."""
        session = self.desks[caller].call(called)
        self.wire.deliver()
        self.desks[called].last.accept(self.desks[called].sdp)
        self.wire.deliver()
        return session

    def dial(self, desk: Desk, code: str) -> Prompt | None:
        """Dial a code and wait until the node has hung up; None when it did not answer."""
        before = len(self.prompts)
        desk.call(code)
        self.wire.advance(3)
        return self.prompts[-1] if len(self.prompts) > before else None

    def _prompt(self) -> Prompt:
        self.prompts.append(Prompt())
        return self.prompts[-1]
