"""Requests within a call whose content is for the owner, such as INFO (RFC 6086) and MESSAGE (RFC 3428)."""

from collections.abc import Callable
from itertools import count

from opx.sip import events
from opx.sip.exchange import Outcome
from opx.sip.message import Response
from opx.sip.transactions import ServerTransaction
from opx.sip.usage import DialogUsage

METHODS = frozenset(("INFO", "MESSAGE"))
MAX_WAITING = 8
"""Of the peer's requests that may wait for an answer; each is a key press or a line of text."""


class Asking:
    """One session's; the numbers that it gives are unique in the session."""

    def __init__(self, usage: DialogUsage, emit: Callable[[events.SessionEvent], None]) -> None:
        self.numbers = count(1)
        self._usage = usage
        self._emit = emit
        self._waiting: dict[int, ServerTransaction] = {}

    def ask(self, method: str, content_type: str, body: bytes, on_final: Callable[[int], None]) -> None:
        """Send one; `on_final` gets the status, 408 when none came."""
        request = self._usage.need().request(method)
        if body:
            request.add("content-type", content_type)
            request.body = body

        def final(outcome: Outcome) -> None:
            on_final(outcome.status if isinstance(outcome, Response) else 408)

        self._usage.send(request, final)

    def on_request(self, transaction: ServerTransaction) -> None:
        if len(self._waiting) >= MAX_WAITING:
            transaction.reply(500)
            return
        number = next(self.numbers)
        self._waiting[number] = transaction
        request = transaction.request
        self._emit(events.Asked(number, request.method, request.content_type, request.body))

    def answer(self, number: int, status: int) -> None:
        """Nothing when the call is over meanwhile."""
        transaction = self._waiting.pop(number, None)
        if transaction is not None:
            transaction.reply(status)

    def let_go(self) -> None:
        """The session is over and not to be called any more."""
        self._emit = events.unheard

    def stop(self) -> None:
        for transaction in self._waiting.values():
            transaction.reply(481)
        self._waiting.clear()
