"""A phone's calls: placed, answered, waiting, on hold, replaced, ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opx.phone.account import Account
from opx.phone.call import PhoneCall
from opx.phone.media import MediaSettings, PhoneMedia, puts_on_hold
from opx.sip import events
from opx.sip.agent import UserAgent, new_tag
from opx.sip.answering import sdp_of
from opx.sip.digest import DigestClient
from opx.sip.dtmf import RELAY, KeyPress, parse_key, write_key
from opx.sip.errors import LocalProtocolError, RemoteProtocolError
from opx.sip.replaces import Replaces
from opx.sip.session import Headers, Session
from opx.sip.transactions import ServerTransaction

TransferAsked = Callable[[PhoneCall, events.TransferAsked], None]


@dataclass(frozen=True, slots=True)
class Line:
    """What calls are made and taken with. `contact` is our own URI; `say` hears in words what happens."""

    agent: UserAgent
    account: Account
    credentials: DigestClient
    media: MediaSettings
    contact: Callable[[], str]
    say: Callable[[str], None]


class PhoneCalls:
    """`on_ring` hears of every call that comes in, `on_end` of every one that is over.

    With `auto_answer` a call is answered as soon as no other is going on.

    Beyond `most` calls a further caller hears busy.
    """

    def __init__(
        self,
        line: Line,
        *,
        auto_answer: bool,
        most: int,
        on_ring: Callable[[PhoneCall], None],
        on_transfer: TransferAsked,
        on_end: Callable[[PhoneCall], None] = lambda call: None,
    ) -> None:
        self.all: list[PhoneCall] = []
        self._line = line
        self._auto_answer = auto_answer
        self._most = most
        self._on_ring = on_ring
        self._on_transfer = on_transfer
        self._on_end = on_end

    # --- what the user does

    def place(self, number: str, headers: Headers = ()) -> PhoneCall:
        """Call a number through the account's server; calls that are going on are put on hold first."""
        self._hold_others(None)
        line = self._line
        media = PhoneMedia(line.media, lambda key: self._on_key(call, key))
        session = Session.call(
            line.agent,
            lambda event: self._on_event(call, event),
            line.account.destination,
            uri=line.account.uri(number),
            from_=f"<{line.account.aor}>",
            to=f"<{line.account.uri(number)}>",
            contact=line.contact(),
            sdp=media.offer(),
            credentials=line.credentials,
            headers=headers,
        )
        call = PhoneCall(session, number, media)
        self.all.append(call)
        line.say(f"calls {number}")
        return call

    def answer(self, call: PhoneCall) -> bool:
        """Answer a call that rings; the others are put on hold first. 488 when there is no codec in common."""
        try:
            answer = call.media.answer(call.offer)
        except ValueError as error:
            call.session.reject(488)
            self._end(call, str(error))
            return False
        self._hold_others(call)
        call.session.accept(answer)
        call.answered.set()
        self._line.say(f"answered {call.peer}")
        return True

    def hold(self, call: PhoneCall, on: bool) -> None:
        """Put the other end on hold, or take it back. LocalProtocolError while another change is under way."""
        before, call.media.holding = call.media.holding, on
        try:
            call.session.offer(call.media.offer())
        except LocalProtocolError:
            call.media.holding = before
            raise
        call.endpoint.sending = not on
        self._line.say(f"{'holds' if on else 'resumes'} {call.peer}")

    def hang_up(self, call: PhoneCall) -> None:
        call.session.hang_up()
        self._end(call, "we hung up")

    def press(self, call: PhoneCall, keys: str, *, info: bool = False) -> None:
        """Press keys: in RTP where the other end takes them there (RFC 4733), else, or with `info`, in INFO requests.

        ValueError when one is no key.
        """
        if call.endpoint.sends_keys and not info:
            call.endpoint.press(keys)
            return
        bodies = [write_key(RELAY, KeyPress(key.upper())) for key in keys]
        if any(parse_key(RELAY, body) is None for body in bodies):
            raise ValueError(f"{keys!r} are no keys of a telephone")
        self._send_info(call, bodies)

    def _send_info(self, call: PhoneCall, bodies: list[bytes]) -> None:
        if not bodies or call.ended.is_set():
            return

        def answered(status: int) -> None:
            # One after the other: nothing else keeps their order.
            if status < 300:
                self._send_info(call, bodies[1:])
            else:
                self._line.say(f"{call.peer} takes no keys in INFO: {status}")

        call.session.ask("INFO", RELAY, bodies[0], answered)

    def _hold_others(self, call: PhoneCall | None) -> None:
        for other in self.all:
            if other is not call and other.answered.is_set() and not other.holding and other.session.can_offer:
                self.hold(other, True)

    # --- what comes

    def on_invite(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        value = request.get("replaces")
        try:
            replaced = self._replaced(Replaces.parse(value)) if value is not None else None
            if replaced is None and len(self.all) >= self._most:
                raise RemoteProtocolError("too many calls", status=486)
            call = self._take(transaction)
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        self.all.append(call)
        if replaced is not None:
            self._line.say(f"{call.peer} takes the place of {replaced.peer}")
            if self.answer(call):
                self._on_ring(call)
                replaced.session.hang_up()
                self._end(replaced, f"replaced by {call.peer}")
            return
        call.session.progress(180)
        self._line.say(f"rings: {call.peer} calls" + (", and waits" if len(self.all) > 1 else ""))
        self._on_ring(call)
        self._answer_next()

    def _take(self, transaction: ServerTransaction) -> PhoneCall:
        line, request = self._line, transaction.request
        offer, peer = sdp_of(request), request.from_.uri.user or "?"
        media = PhoneMedia(line.media, lambda key: self._on_key(call, key))
        try:
            session = Session.incoming(
                line.agent, lambda event: self._on_event(call, event), transaction, contact=line.contact()
            )
        except RemoteProtocolError:
            media.close()
            raise
        call = PhoneCall(session, peer, media, offer)
        return call

    def _replaced(self, replaces: Replaces) -> PhoneCall:
        """The call that an INVITE is to replace (RFC 3891 section 3). RemoteProtocolError when it cannot."""
        user = self._line.agent.find_dialog(replaces.dialog)
        found = next((call for call in self.all if call.session is user), None)
        if found is None or found.waiting:
            raise RemoteProtocolError("there is no such call", status=481)
        if replaces.early_only and found.answered.is_set():
            raise RemoteProtocolError("the call is answered already", status=486)
        return found

    def _answer_next(self) -> None:
        waiting = [call for call in self.all if call.waiting]
        if self._auto_answer and waiting and len(waiting) == len(self.all):
            self.answer(waiting[0])

    def _on_key(self, call: PhoneCall, key: str) -> None:
        call.keys += key
        self._line.say(f"{call.peer} pressed {key}")

    def _on_event(self, call: PhoneCall, event: events.SessionEvent) -> None:
        for watcher in list(call.watchers):
            watcher(event)
        try:
            self._take_event(call, event)
        except ValueError as error:
            call.session.hang_up()
            self._end(call, f"a media description cannot be used: {error}")

    def _take_event(self, call: PhoneCall, event: events.SessionEvent) -> None:
        match event:
            case events.Progress(status, description):
                self._line.say(f"{call.peer}: {_progress(status)}")
                if description:
                    call.media.accepted(description)
            case events.Answered(description):
                call.answered.set()
                self._line.say(f"{call.peer} answered")
                if description:
                    call.media.accepted(description)
            case events.Confirmed(description) | events.OfferAnswered(description) if description:
                call.media.accepted(description)
            case events.OfferRefused(status):
                self._line.say(f"{call.peer} refuses a change of the call: {status}")
            case events.Offered(description):
                self._answer_offer(call, description)
            case events.Asked():
                self._on_asked(call, event)
            case events.TransferAsked():
                self._on_transfer(call, event)
            case events.Refused(status):
                self._end(call, f"refused with {status}")
            case events.Cancelled(elsewhere):
                self._end(call, "answered elsewhere" if elsewhere else "the caller gave up")
            case events.Ended(cause):
                self._end(call, f"the other end {cause.value}")

    def _answer_offer(self, call: PhoneCall, description: bytes) -> None:
        try:
            call.session.answer_offer(call.media.answer(description))
        except ValueError:
            call.session.refuse_offer(488)
            return
        if description and (held := puts_on_hold(description)) != call.held:
            call.held = held
            self._line.say(f"{call.peer} {'put us on hold' if held else 'took us back'}")

    def _on_asked(self, call: PhoneCall, event: events.Asked) -> None:
        press = parse_key(event.content_type, event.body) if event.method == "INFO" else None
        call.session.answer_request(event.id, 200 if press is not None else 415)
        if press is not None:
            self._on_key(call, press.key)

    # --- ends

    def end_all(self) -> None:
        self._auto_answer = False
        for call in list(self.all):
            self.hang_up(call)

    def _end(self, call: PhoneCall, why: str) -> None:
        if call.ended.is_set():
            return
        call.why = why
        call.media.close()
        if call in self.all:
            self.all.remove(call)
        self._line.say(f"call with {call.peer} is over: {why}")
        call.ended.set()
        self._on_end(call)
        self._answer_next()


def _progress(status: int) -> str:
    return {180: "ringing", 181: "the call is being forwarded"}.get(status, str(status))
