"""Transfers from a phone's end: asking for one, and being asked (RFC 3515, RFC 5589)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from opx.phone.account import Account
from opx.phone.call import PhoneCall
from opx.phone.calls import PhoneCalls
from opx.sip import events
from opx.sip.replaces import ReferTo, Replaces
from opx.sip.uri import Uri

UNKNOWN_OUTCOME = 202
"""What a transfer came to whose call ended before anybody said how it went: it was accepted, no more is known."""


class PhoneTransfers:
    def __init__(self, account: Account, calls: Callable[[], PhoneCalls], say: Callable[[str], None]) -> None:
        self._account = account
        self._calls = calls
        self._say = say

    # --- we transfer the other end

    def blind(self, call: PhoneCall, number: str) -> asyncio.Future[int]:
        """Ask the other end of `call` to talk with `number` instead; the status that this came to."""
        self._say(f"transfers {call.peer} to {number}")
        return self._refer(call, number, None, [call])

    def attended(self, call: PhoneCall, other: PhoneCall) -> asyncio.Future[int]:
        """Connect the other ends of two calls. One whose target rings still is given up and called by the server."""
        self._say(f"connects {call.peer} with {other.peer}")
        name = other.name
        if not other.answered.is_set() or name is None:
            self._calls().hang_up(other)
            return self._refer(call, other.peer, None, [call])
        return self._refer(call, other.peer, Replaces(name), [call, other])

    def _refer(
        self, call: PhoneCall, number: str, replaces: Replaces | None, finished: Sequence[PhoneCall]
    ) -> asyncio.Future[int]:
        result: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def over(status: int) -> None:
            if result.done():
                return
            result.set_result(status)
            call.watchers.remove(watch)
            self._say(f"transfer to {number}: {'done' if status < 300 else f'failed with {status}'}")
            if status < 300:
                for each in finished:
                    if not each.ended.is_set():
                        self._calls().hang_up(each)

        def watch(event: events.SessionEvent) -> None:
            match event:
                case events.TransferProgress(status, last) if last:
                    over(status)
                case events.Ended():
                    over(UNKNOWN_OUTCOME)

        call.watchers.append(watch)
        uri = Uri.parse(self._account.uri(number))
        call.session.refer(ReferTo(uri, replaces), lambda status: over(status) if status >= 300 else None)
        return result

    # --- the other end transfers us

    def asked(self, call: PhoneCall, event: events.TransferAsked) -> None:
        """Call whom the other end names, and let it know how that goes."""
        number, replaces = event.refer_to.number, event.refer_to.replaces
        if not number:
            call.session.answer_transfer(event.id, 404)
            return
        call.session.answer_transfer(event.id, 202)
        self._say(f"{call.peer} transfers us to {number}")
        headers = (("replaces", str(replaces)),) if replaces is not None else ()
        new = self._calls().place(number, headers)

        def watch(event: events.SessionEvent) -> None:
            match event:
                case events.Progress(status):
                    call.session.notify_transfer(status, False)
                case events.Answered():
                    new.watchers.remove(watch)
                    call.session.notify_transfer(200, True)
                    if not call.ended.is_set():
                        self._calls().hang_up(call)
                case events.Refused(status):
                    new.watchers.remove(watch)
                    call.session.notify_transfer(status, True)
                    if call.holding and call.session.can_offer:
                        self._calls().hold(call, False)

        new.watchers.append(watch)
