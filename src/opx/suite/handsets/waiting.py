"""What a phone that nobody has approved asks now and then: may it come for its configuration now?

So that an administrator's approval is enough, and nobody at the phone has to start it anew. Only a phone that would be
given its first configuration is told so; whoever else asks, for whatever MAC, gets the same nothing.
"""

import time
from collections.abc import Callable

from opx.suite.handsets.authority import Authority
from opx.suite.handsets.book import Book
from opx.suite.handsets.http import XML, Access, HandsetRequest, HandsetResponse
from opx.suite.xml_objects.orders import FAST_REBOOT, NOTHING, Execute

_COME = HandsetResponse(Execute((FAST_REBOOT,)).render(), XML)
_WAIT = HandsetResponse(Execute((NOTHING,)).render(), XML)


class WaitingPage:
    """The action URI that the stranger's file names."""

    access = Access.TRACED

    def __init__(self, book: Book, authority: Authority, clock: Callable[[], float] = time.time) -> None:
        self._book = book
        self._authority = authority
        self._clock = clock

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        caller = request.caller
        phone = self._book.phone(caller.identity.mac)
        if not caller.secure or phone is None:
            return _WAIT
        return _COME if self._authority.expects(phone, caller.side, caller.source, self._clock()) else _WAIT
