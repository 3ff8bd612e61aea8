"""Where each extension's phones are."""

from collections.abc import Callable
from dataclasses import dataclass

from opx.pbx.repository import ExtensionRecord
from opx.sip.address import NameAddr
from opx.sip.agent import new_tag
from opx.sip.digest import Algorithm, DigestVerifier, ha1
from opx.sip.errors import RemoteProtocolError
from opx.sip.flow import Flow
from opx.sip.registration import requested_expires
from opx.sip.timers import Timer, TimerWheel
from opx.sip.transactions import ServerTransaction
from opx.sip.uri import unescape


@dataclass(slots=True, eq=False)
class Contact:
    """Times on the wheel's clock, in seconds."""

    uri: str
    flow: Flow
    expires_at: float
    timer: Timer


class PbxRegistrar:
    """Authenticates extensions and keeps their contacts, the newest last."""

    def __init__(
        self,
        extensions: dict[str, ExtensionRecord],
        verifier: DigestVerifier,
        wheel: TimerWheel,
        min_expires: int,
        max_expires: int,
        on_change: Callable[[str, bool], None],
    ) -> None:
        self._extensions = extensions
        self._verifier = verifier
        self._wheel = wheel
        self._min_expires = min_expires
        self._max_expires = max_expires
        self._on_change = on_change
        self._contacts: dict[str, list[Contact]] = {}

    def contacts(self, number: str) -> list[Contact]:
        return self._contacts.get(number, [])

    def admit(self, transaction: ServerTransaction, *, proxy: bool) -> ExtensionRecord | None:
        """The extension that sent a request, or None when it has been challenged."""
        request = transaction.request
        offered = request.get_all("proxy-authorization" if proxy else "authorization")
        stale = False
        if offered:
            verdict = self._verifier.verify(request.method, offered, self._ha1_of, self._wheel.now, request.uri)
            if verdict.ok:
                return self._extensions.get(verdict.username)
            stale = verdict.stale
        response = request.reply(407 if proxy else 401, to_tag=new_tag())
        for name, value in self._verifier.challenges(self._wheel.now, stale=stale, proxy=proxy):
            response.add(name, value)
        transaction.respond(response)
        return None

    def on_register(self, transaction: ServerTransaction) -> None:
        extension = self.admit(transaction, proxy=False)
        if extension is None:
            return
        request = transaction.request
        try:
            if unescape(request.to.uri.user or "") != extension.number:
                transaction.reply(403, to_tag=new_tag())
                return
            if request.contact_star:
                self._drop(extension.number, self.contacts(extension.number))
            for contact in request.contacts:
                expires = requested_expires(contact, request, self._max_expires, self._max_expires)
                if 0 < expires < self._min_expires:
                    response = request.reply(423, to_tag=new_tag())
                    response.add("min-expires", str(self._min_expires))
                    transaction.respond(response)
                    return
                self._bind(extension.number, contact, transaction.flow, expires)
        except RemoteProtocolError as error:
            transaction.reply(error.status, to_tag=new_tag())
            return
        response = request.reply(200, to_tag=new_tag())
        for held in self.contacts(extension.number):
            left = max(0, round(held.expires_at - self._wheel.now))
            response.add("contact", f"<{held.uri}>;expires={left}")
        transaction.respond(response)

    def connection_lost(self, flow: Flow) -> None:
        for number, contacts in list(self._contacts.items()):
            self._drop(number, [contact for contact in contacts if contact.flow == flow])

    def forget(self, number: str) -> None:
        """The extension was removed."""
        self._drop(number, self.contacts(number))

    def _bind(self, number: str, address: NameAddr, flow: Flow, expires: int) -> None:
        uri = str(address.uri)
        was = bool(self.contacts(number))
        self._remove([held for held in self.contacts(number) if held.uri == uri], number)
        if expires:
            timer = self._wheel.schedule(expires, lambda: self._drop(number, [contact]))
            contact = Contact(uri, flow, self._wheel.now + expires, timer)
            self._contacts.setdefault(number, []).append(contact)
        if was != bool(self.contacts(number)):
            self._on_change(number, not was)

    def _drop(self, number: str, contacts: list[Contact]) -> None:
        was = bool(self.contacts(number))
        self._remove(contacts, number)
        if was and not self.contacts(number):
            self._on_change(number, False)

    def _remove(self, contacts: list[Contact], number: str) -> None:
        held = self._contacts.get(number, [])
        for contact in list(contacts):
            contact.timer.cancel()
            if contact in held:
                held.remove(contact)
        if not held:
            self._contacts.pop(number, None)

    def _ha1_of(self, username: str, algorithm: Algorithm) -> str | None:
        extension = self._extensions.get(username)
        return ha1(algorithm, username, self._verifier.realm, extension.password) if extension else None
