"""Calls through the gateway by parties that do whatever comes to their mind, from a seed.

Everything is drawn from the seed, so that a run that finds something can be had again.
"""

from dataclasses import replace
from random import Random

from opx import sdp
from opx.gateway.signalling.signalling import SignallingPolicy
from opx.sip import events
from opx.sip.agent import UserAgent
from opx.sip.answering import attach_sdp
from opx.sip.errors import LocalProtocolError
from opx.sip.flow import Flow
from opx.sip.message import Request, Response
from opx.sip.replaces import DialogName, ReferTo, Replaces
from opx.sip.session import Session
from opx.sip.session_timer import SessionTimerPolicy
from opx.sip.transactions import ServerTransaction
from support.site import INNER, OUTSIDE, FakeIcp, Phone, Site, description

Party = Phone | FakeIcp

WITHIN = "INFO, MESSAGE, REFER, NOTIFY"
STATUSES = (200, 202, 302, 401, 403, 407, 408, 415, 481, 486, 488, 491, 500, 503, 603)
METHODS = ("INVITE", "UPDATE", "PRACK", "INFO", "MESSAGE", "REFER", "NOTIFY", "OPTIONS", "BYE", "SUBSCRIBE")
DIRECTIONS = tuple(sdp.Direction)
LONGEST = 400.0
"""Seconds after which nothing of a call may be left: ringing, a transfer and the lingering of transactions."""


class Shaker:
    """One run: `play` some steps, then `settle`, then look at what is left."""

    def __init__(self, seed: int, *, rude: bool = False, lossy: bool = False) -> None:
        self.random = Random(seed)
        self.rude = rude
        policy = SignallingPolicy(session_timer=SessionTimerPolicy(expires=self.random.choice((90, 1800))))
        self.site = site = Site(policy)
        site.icp.node.serve(self.random.choice((WITHIN, "INFO", "")))
        self.phones = [site.phone(number, port=40000 + number) for number in (1, 2)]
        for phone in self.phones:
            phone.node.serve(self.random.choice((WITHIN, WITHIN, "INFO")))
            if self.random.random() < 0.3:
                phone.node.agent.supported_text = "timer"
            phone.register()
        self.steps: list[str] = []
        self._pending: list[tuple[tuple[str, int], Flow, bytes]] = []
        self._shaking = True
        self._version = 1
        if lossy:
            site.wire.lose = lambda carried: self._shaking and self.random.random() < 0.15
            site.wire.double = self.random.random() < 0.3
        self._log_from = len(site.wire.log)
        site.wire.deliver = self._flush  # type: ignore[method-assign]
        self.parties: tuple[Party, ...] = (*self.phones, site.icp)
        self._seen = {id(party): 0 for party in self.parties}

    # --- the network

    def _collect(self) -> None:
        for address, agent in list(self.site.wire.agents.items()):
            self._pending += [(address, flow, data) for flow, data in agent.take_outgoing()]

    def _carry_one(self) -> bool:
        self._collect()
        if not self._pending:
            return False
        index = self.random.randrange(len(self._pending)) if self.random.random() < 0.2 else 0
        self.site.wire._carry(*self._pending.pop(index))
        return True

    def _flush(self) -> None:
        if not self._shaking:
            while self._carry_one():
                pass

    # --- steps

    def play(self, count: int) -> None:
        for _ in range(count):
            self._act()
            for _ in range(self.random.choice((0, 0, 1, 2, 5, 50))):
                self._carry_one()
            self._answer_events()

    def settle(self) -> None:
        """Everybody hangs up, and time passes."""
        self._shaking = False
        self.site.wire.double = False
        for _ in range(3):
            for party in self.parties:
                for session in party.sessions:
                    session.hang_up()
            self.site.wire.advance(36, step=4.0)
        self.site.wire.advance(LONGEST, step=5.0)

    def _act(self) -> None:
        party = self.random.choice(self.parties)
        session = self.random.choice(party.sessions[-4:]) if party.sessions else None
        if session is None or self.random.random() < 0.15:
            self._call(party)
            return
        act = self.random.choice(
            (self._ring, self._accept, self._accept, self._offer, self._offer, self._offer, self._withdraw)
            + (self._ask, self._refer, self._refer, self._hang_up, self._reject, self._wait)
            + ((self._raw, self._raw, self._raw, self._rude_ack, self._drop_device) if self.rude else ())
        )
        self.steps.append(f"{self._name(party)} {party.sessions.index(session)} {act.__name__}")
        try:
            act(party, session)
        except LocalProtocolError as error:
            # The party itself was told that it may not; nothing was delivered meanwhile.
            self.steps.append(f"  refused: {error}")

    def _name(self, party: Party) -> str:
        return f"phone{party.number}" if isinstance(party, Phone) else "icp"

    def _sdp(self, party: Party) -> bytes:
        self._version += 1
        host = f"192.168.1.{party.number}" if isinstance(party, Phone) else "10.9.8.101"
        return description(host, 6100, self.random.choice(DIRECTIONS), self._version)

    def _maybe_sdp(self, party: Party) -> bytes:
        return self._sdp(party) if self.random.random() < 0.75 else b""

    def _call(self, party: Party) -> None:
        headers: tuple[tuple[str, str], ...] = ()
        if self.random.random() < 0.2 and (name := self._some_dialog(party)) is not None:
            headers = (("replaces", str(Replaces(name, self.random.random() < 0.3))),)
        offer = self._maybe_sdp(party)
        self.steps.append(f"{self._name(party)} calls {headers} {len(offer)}")
        if isinstance(party, Phone):
            session = party.call(self.random.choice(("1002", "1003")), offer, headers)
        else:
            known = sorted(self.site.icp.contacts)
            session = self.site.icp.call(self.random.choice(known), offer, headers=headers)
        self._make_rude(session, party)

    def _make_rude(self, session: Session, party: Party) -> None:
        if not self.rude:
            return

        def answer(transaction: ServerTransaction) -> bool:
            roll = self.random.random()
            if roll < 0.8 or transaction.method == "OPTIONS":
                return True
            if roll < 0.85:
                if transaction.invite:
                    transaction.reply(100)
                return False
            status = self.random.choice(STATUSES)
            response = transaction.request.reply(status)
            if status < 300:
                response.add("contact", f"<sip:rude@{self._home(party)}>")
                attach_sdp(response, self._maybe_sdp(party))
            transaction.respond(response)
            return False

        session._authorize = answer

    def _home(self, party: Party) -> str:
        return f"192.168.1.{party.number}" if isinstance(party, Phone) else "10.9.8.20"

    def _some_dialog(self, party: Party) -> DialogName | None:
        dialogs = [session.dialog for session in party.sessions if session.dialog is not None]
        if not dialogs:
            return None
        dialog = self.random.choice(dialogs)
        return DialogName(dialog.call_id, dialog.remote_tag, dialog.local_tag)

    def _ring(self, party: Party, session: Session) -> None:
        status = self.random.choice((180, 183))
        session.progress(status, self._maybe_sdp(party), reliable=self.random.random() < 0.5)

    def _accept(self, party: Party, session: Session) -> None:
        session.accept(self._sdp(party))

    def _reject(self, party: Party, session: Session) -> None:
        if session.asked:
            session.reject(self.random.choice((302, 401, 404, 407, 480, 486, 603)))

    def _offer(self, party: Party, session: Session) -> None:
        session.offer(self._maybe_sdp(party), update=self.random.random() < 0.4)

    def _withdraw(self, party: Party, session: Session) -> None:
        session.withdraw_offer()

    def _ask(self, party: Party, session: Session) -> None:
        if session.up:
            method = self.random.choice(("INFO", "MESSAGE"))
            kind = self.random.choice(("application/dtmf-relay", "text/plain", "application/x"))
            session.ask(method, kind, b"Signal=1\r\nDuration=100\r\n", lambda status: None)

    def _refer(self, party: Party, session: Session) -> None:
        if not session.up:
            return
        name = self._some_dialog(party) if self.random.random() < 0.6 else None
        early = self.random.random() < 0.2
        uri = ReferTo.parse(f"sip:{self.random.choice(('1002', '1003'))}@{OUTSIDE}").uri
        session.refer(ReferTo(uri, Replaces(name, early) if name else None), lambda status: None)

    def _hang_up(self, party: Party, session: Session) -> None:
        if self.random.random() < 0.5:
            session.hang_up(elsewhere=self.random.random() < 0.3)

    def _wait(self, party: Party, session: Session) -> None:
        # What is on its way for longer than transactions remember would be another request.
        for _ in range(self.random.choice((1, 1, 10, 70, 200))):
            self.site.wire.wheel.advance(self.site.wire.wheel.now + 1.0)
            while self._carry_one():
                pass

    # --- rude steps

    def _raw(self, party: Party, session: Session) -> None:
        dialog = session.dialog
        if dialog is None:
            return
        method = self.random.choice(METHODS)
        request = dialog.request(method)
        self.steps.append(f"  {method}")
        if method == "PRACK":
            request.add("rack", f"{self.random.randrange(3)} {self.random.randrange(3)} INVITE")
        if method == "REFER":
            request.add("refer-to", f"<sip:{self.random.choice(('1002', '', '10%2003'))}@{OUTSIDE}>")
            if self.random.random() < 0.3:
                request.add("refer-sub", "false")
        if method == "NOTIFY":
            request.add("event", self.random.choice(("refer", "talk", "refer;id=1")))
            request.add("subscription-state", self.random.choice(("active;expires=60", "terminated;reason=noresource")))
            request.add("content-type", "message/sipfrag")
            request.body = self.random.choice((b"SIP/2.0 100 Trying\r\n", b"SIP/2.0 200 OK\r\n", b"x"))
        elif method in ("INFO", "MESSAGE"):
            request.add("content-type", "text/plain")
            request.body = b"x"
        elif method in ("INVITE", "UPDATE", "PRACK"):
            attach_sdp(request, self._maybe_sdp(party))
        session.usage.send(request, lambda outcome: self._acknowledge(session, party, request, outcome))

    def _acknowledge(self, session: Session, party: Party, request: Request, outcome: object) -> None:
        if request.method == "INVITE" and isinstance(outcome, Response) and outcome.status < 300:
            session.usage.send_ack(outcome.cseq.number, self._maybe_sdp(party))

    def _rude_ack(self, party: Party, session: Session) -> None:
        dialog = session.dialog
        if dialog is not None:
            session.usage.send_ack(max(1, dialog.local_seq - self.random.randrange(2)), self._maybe_sdp(party))

    def _drop_device(self, party: Party, session: Session) -> None:
        if self.random.random() < 0.1 and isinstance(party, Phone):
            self.site.devices[party.number - 1] = replace(
                self.site.devices[party.number - 1], enabled=self.random.random() < 0.5
            )
            self.site.load()

    # --- events

    def _answer_events(self) -> None:
        for party in self.parties:
            for session in party.sessions:
                if self.rude and session._authorize is None:
                    self._make_rude(session, party)
                self._answer_session(party, session)
            fresh = party.events[self._seen[id(party)] :]
            self._seen[id(party)] = len(party.events)
            for event in fresh:
                for session in party.sessions:
                    self._answer(session, event)

    def _answer_session(self, party: Party, session: Session) -> None:
        if session.offered and self.random.random() < 0.7:
            if self.random.random() < 0.8:
                session.answer_offer(self._sdp(party))
            else:
                session.refuse_offer(self.random.choice((488, 491, 500)))
        if session.owes_answer and self.random.random() < 0.9:
            session.acknowledge(self._maybe_sdp(party) if self.rude else self._sdp(party))

    def _answer(self, session: Session, event: events.SessionEvent) -> None:
        try:
            if isinstance(event, events.Asked):
                session.answer_request(event.id, self.random.choice(STATUSES))
            elif isinstance(event, events.TransferAsked):
                status = self.random.choice((202, 202, 202, *STATUSES))
                session.answer_transfer(event.id, status)
                for _ in range(self.random.randrange(3)):
                    session.notify_transfer(self.random.choice((100, 180, 200, 486)), self.random.random() < 0.5)
        except LocalProtocolError:
            # Another session of the party was asked.
            pass

    # --- what is left

    def check(self) -> None:
        signalling = self.site.signalling
        left = {
            "calls": len(signalling.calls),
            "transfers": len(signalling.calls.transfers),
            "trying": len(signalling.calls.transfers._trying),
            "set dialogs": signalling.set_agent.dialogs,
            "ICP dialogs": signalling.icp_agent.dialogs,
            "set invites": len(signalling.set_agent._invites),
            "ICP invites": len(signalling.icp_agent._invites),
            "set transactions": self._transactions(signalling.set_agent),
            "ICP transactions": self._transactions(signalling.icp_agent),
            "relays": len(self.site.desk.open_calls),
        }
        assert not any(left.values()), left
        leaked = INNER.search(self.site.set_side_bytes())
        assert leaked is None, leaked

    def _transactions(self, agent: UserAgent) -> int:
        """OPTIONS go on for ever."""
        layer = agent.layer
        return sum(1 for key in (*layer._clients, *layer._servers) if key[-1] not in ("OPTIONS", "REGISTER"))

    def check_answers(self) -> None:
        """Every request of a party has one final answer."""
        gateway = {self.site.signalling.set_agent.local, self.site.signalling.icp_agent.local}
        asked: dict[tuple[str, str], str] = {}
        answers: dict[tuple[str, str], set[str]] = {}
        for carried in self.site.wire.log[self._log_from :]:
            message = carried.message
            key = (message.branch, message.cseq.method)
            if isinstance(message, Request) and carried.target in gateway and message.method != "ACK":
                asked[key] = f"{message.method} of {carried.source}"
            elif isinstance(message, Response) and carried.source in gateway and message.status >= 200:
                answers.setdefault(key, set()).add(f"{message.status} {message.to_tag}")
        for key, what in asked.items():
            assert len(answers.get(key, ())) == 1, (what, answers.get(key))
