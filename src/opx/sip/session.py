"""Sessions: one INVITE and all that follows in its dialog (RFC 3261 sections 13 to 15), for either role.

A session says what happens as the events of `events.py` and is told what to do by its methods. It answers, repeats,
acknowledges and refreshes by itself; whether a call is taken, and with which description, is its owner's decision.
This is the owner's face of it; `session_core` is the inner one. Its parts: `outgoing` and `incoming` (the INVITE),
`reliable` (provisional answers), `offers` (descriptions), `session_timer`, `referral` (REFER), `asking` (INFO).
"""

from collections.abc import Callable, Sequence

from opx.sip.agent import UserAgent, new_call_id, new_tag
from opx.sip.answering import attach_sdp, sdp_of
from opx.sip.dialog import Dialog
from opx.sip.digest import DigestClient
from opx.sip.errors import LocalProtocolError
from opx.sip.flow import Destination, Flow
from opx.sip.incoming import IncomingInvite
from opx.sip.outgoing import OutgoingInvite, build_invite
from opx.sip.reliable import OPTION
from opx.sip.replaces import ReferTo
from opx.sip.session_core import Authorize, Listener, Phase, SessionCore
from opx.sip.transactions import ServerTransaction

__all__ = ["Authorize", "Headers", "Listener", "Phase", "Session"]

Headers = Sequence[tuple[str, str]]

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
"""RFC 3326: a phone that hears this lists no missed call."""


class Session(SessionCore):
    """See the module. Made by `Session.call` or `Session.incoming`."""

    # --- making one

    @classmethod
    def call(
        cls,
        agent: UserAgent,
        listener: Listener,
        route: Flow | Destination,
        *,
        uri: str,
        from_: str,
        to: str,
        contact: str,
        sdp: bytes,
        credentials: DigestClient | None = None,
        headers: Headers = (),
        authorize: Authorize | None = None,
        reliable: bool = True,
        patience: float | None = None,
    ) -> "Session":
        """Call `uri`. `from_` and `to` are name-addrs without tags, `contact` a URI. Without `sdp` the peer offers.

        Without `reliable` the peer is not told that we acknowledge provisional answers (RFC 3262). A peer that has
        not answered anything within `patience` seconds, not even 100, counts as one that never does.
        """
        session = cls(agent, listener, route, contact, credentials, authorize)
        session.call_id = new_call_id()
        invite = build_invite(uri, from_, to, session.call_id, session.usage.contact, agent.allow, headers)
        invite.add("supported", agent.supported_text if reliable else agent.supported_without(OPTION))
        session.timer.ask(invite)
        attach_sdp(invite, sdp)
        session.offers.local = sdp
        session._outgoing = OutgoingInvite(session.usage, session, invite, session.timer, patience)
        return session

    @classmethod
    def incoming(
        cls,
        agent: UserAgent,
        listener: Listener,
        transaction: ServerTransaction,
        *,
        contact: str,
        route: Flow | Destination | None = None,
        credentials: DigestClient | None = None,
        authorize: Authorize | None = None,
    ) -> "Session":
        """Take an INVITE, to be answered with `progress`, `accept` or `reject`.

        RemoteProtocolError when it lacks a Contact.
        """
        session = cls(agent, listener, route or transaction.flow, contact, credentials, authorize)
        request = transaction.request
        dialog = Dialog.as_server(request, new_tag(), session.usage.contact)
        session.call_id = dialog.call_id
        session.phase = Phase.RINGING
        session.usage.hear(request)
        session.offers.remote = sdp_of(request)
        session.usage.open(dialog, session)
        session._incoming = IncomingInvite(session.usage, session, session.offers, transaction)
        return session

    # --- what the owner sees

    @property
    def route(self) -> Flow | Destination:
        """A flow when requests may go nowhere else (a set); a destination when the dialog decides (an ICP)."""
        return self.usage.route

    @route.setter
    def route(self, route: Flow | Destination) -> None:
        self.usage.route = route

    @property
    def dialog(self) -> Dialog | None:
        return self.usage.dialog

    @property
    def ended(self) -> bool:
        return self.phase is Phase.ENDED

    @property
    def asked(self) -> bool:
        """The INVITE of the peer that began the session waits for our final answer."""
        return self._incoming is not None and self._incoming.waiting

    @property
    def offered(self) -> bool:
        """An offer of the peer waits for `answer_offer` or `refuse_offer`."""
        return self.offers.asked

    @property
    def busy(self) -> bool:
        """An offer is open, so that another one has to wait."""
        return self.offers.busy or not (self.phase is Phase.UP or self.offers.settled)

    @property
    def can_offer(self) -> bool:
        """`offer` may be called now."""
        up = self.phase is Phase.UP or self.usage.peer_allows("UPDATE") is True
        return up and not self.ended and not self.busy

    @property
    def owes_answer(self) -> bool:
        """An offer came in an answer of the peer's, and `acknowledge` may be called now."""
        return self.offers.owes_answer or (self._outgoing is not None and self._outgoing.owes_prack)

    @property
    def referring(self) -> bool:
        """A REFER of ours is under way, and another one has to wait."""
        return self._referral.asking

    @property
    def takes_reliable(self) -> bool:
        """The peer acknowledges provisional answers."""
        return self._incoming is not None and self._incoming.takes_reliable

    # --- what the owner says

    def progress(self, status: int, sdp: bytes = b"", *, reliable: bool = False) -> None:
        """Send a provisional answer, 101 to 199; with `reliable` so that it arrives, where the peer can tell us."""
        self._called().progress(status, sdp, reliable)

    def accept(self, sdp: bytes) -> None:
        """Answer the call: `sdp` is our answer, or our offer when the INVITE had none."""
        self._called().accept(sdp)

    def reject(self, status: int, headers: Headers = ()) -> None:
        """Refuse the call with a final status from 300 on."""
        self._called().reject(status, headers)
        self._finish()

    def offer(self, sdp: bytes, *, update: bool = False) -> None:
        """Send a new offer, in an UPDATE where it is asked for and possible. LocalProtocolError when it must wait."""
        self.offers.offer(sdp, update=update)

    def withdraw_offer(self) -> None:
        """Take our re-INVITE back; `OfferRefused` follows, or `OfferAnswered` when the answer was on its way."""
        self.offers.withdraw()

    def answer_offer(self, sdp: bytes) -> None:
        """Accept the peer's offer."""
        self.offers.answer(sdp)

    def refuse_offer(self, status: int) -> None:
        """Refuse the peer's offer; the session goes on as it was."""
        self.offers.refuse(status)

    def acknowledge(self, sdp: bytes) -> None:
        """Answer the offer that came in the peer's 2xx or provisional answer."""
        if self._outgoing is not None and self._outgoing.owes_prack:
            self.offers.local = sdp
            self.offers.settled = True
            self._outgoing.prack(sdp)
        else:
            self.offers.acknowledge(sdp)

    def hang_up(self, status: int = 480, *, elsewhere: bool = False) -> None:
        """End the session, whatever its phase. No event follows.

        `status` refuses a call that was not answered yet; `elsewhere` tells a phone that rings why it stops.
        """
        if self.phase is Phase.RINGING:
            self.reject(status)
        elif self.phase is Phase.CALLING:
            self._finish()
            if self._outgoing is not None:
                self._outgoing.cancel(ELSEWHERE if elsewhere else "")
        elif self.phase is Phase.UP:
            self._bye()

    def ask(self, method: str, content_type: str, body: bytes, on_final: Callable[[int], None]) -> None:
        """Send INFO or MESSAGE within the call; `on_final` gets the status, 408 when none came."""
        self._asking.ask(method, content_type, body, on_final)

    def answer_request(self, request_id: int, status: int) -> None:
        """Answer what `events.Asked` told of; nothing when the call is over meanwhile."""
        self._asking.answer(request_id, status)

    def refer(self, refer_to: ReferTo, on_final: Callable[[int], None]) -> None:
        """Ask the peer to call somebody else (RFC 3515); what comes of it are `events.TransferProgress`.

        LocalProtocolError while `referring`.
        """
        self._referral.refer(refer_to, on_final)

    def answer_transfer(self, request_id: int, status: int) -> None:
        """Answer a REFER, unless the call is over meanwhile; after 202 `notify_transfer` tells how it goes."""
        if not self.ended:
            self._referral.answer(request_id, status)

    def notify_transfer(self, status: int, over: bool) -> None:
        """Tell the peer what the transfer that it asked for met with; also after the call is over."""
        self._referral.notify(status, over)

    def _called(self) -> IncomingInvite:
        if self._incoming is None:
            raise LocalProtocolError("the peer sent no INVITE that could be answered")
        return self._incoming
