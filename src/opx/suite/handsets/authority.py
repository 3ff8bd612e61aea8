"""May a phone have secrets? Its User-Agent and address never show it; its own digest does.

An asker shows one of:

- the phone's own digest: it may have everything, and is bound to it from the first time on;
- an extension and its one-time code, typed at the Log In key: the phone is approved and becomes that extension's;
- the credentials that a handset has from its factory: nothing, except within the window after an approval and from the
  source that was approved, when the file that brings the phone's own digest is delivered;
- anything else: it is challenged again.

Whatever of this fails looks the same from outside for a phone that is known, new, revoked or does not exist: for
what is wrong a challenge, for the factory's credentials the stranger's file, for a source refused too often silence.
The work done is the same, too. Why it failed stands on the phone's timeline.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from opx.suite.handsets.binding import Binder
from opx.suite.handsets.book import Book
from opx.suite.handsets.code_desk import CodeDesk, looks_like_number
from opx.suite.handsets.http import Identity
from opx.suite.handsets.http_digest import HttpDigest, Offer, Shown, hashes_of
from opx.suite.handsets.limits import Distinct, Refusals
from opx.suite.handsets.origins import Connection, Origins
from opx.suite.handsets.records import FACTORY_CREDENTIALS, PhoneRecord, Side, Sighting, State, pretty_mac
from opx.suite.handsets.settings import Handsets
from opx.suite.handsets.witness import Witness
from opx.suite.timeline import Kind

_FACTORY = hashes_of(FACTORY_CREDENTIALS)


class Outcome(Enum):
    """What an asker gets."""

    CHALLENGE = "challenge"
    STALE = "challenge, for the nonce is used up"
    SILENCE = "nothing"
    STRANGER = "what anybody may have"
    PHONE = "everything"


@dataclass(frozen=True, slots=True)
class Ask:
    """A request for what not everybody may have. `target`: path and query as they came; `values`: of Authorization."""

    identity: Identity
    side: Side
    connection: Connection
    method: str
    target: str
    values: Sequence[str]
    page: bool = False
    """For a page, not for the phone's file."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`phone` with PHONE alone. `source`: the true one, "" when it is not known or was not needed."""

    outcome: Outcome
    phone: PhoneRecord | None = None
    source: str = ""


class Authority:
    """See the module. `now` comes from `clock`, seconds since 1970."""

    def __init__(
        self,
        settings: Handsets,
        digest: HttpDigest,
        book: Book,
        origins: Origins,
        codes: CodeDesk,
        binder: Binder,
        witness: Witness,
        clock: Callable[[], float] = time.time,
    ) -> None:
        limits = settings.limits
        self._settings = settings
        self._digest = digest
        self._book = book
        self._origins = origins
        self._codes = codes
        self._binder = binder
        self._witness = witness
        self._clock = clock
        self._refused = Refusals(limits.refusals_per_source, limits.refusal_window)
        self._guessed = Refusals(max(limits.refusals_per_source, limits.alarm_refusals), limits.refusal_window)
        self._unknown = Distinct(limits.new_phones_per_source, limits.refusal_window)

    def challenges(self, stale: bool) -> list[tuple[str, str]]:
        return self._digest.challenges(self._clock(), stale=stale)

    async def judge(self, ask: Ask) -> Verdict:
        """Nothing is waited for when the phone shows its own digest, or nothing at all."""
        now = self._clock()
        phone = self._book.phone(ask.identity.mac)
        if not ask.values:
            return await self._known_by_source(ask, phone, now)
        offer = self._digest.read(ask.values, ask.method, ask.target, now)
        if offer is None:
            return Verdict(Outcome.CHALLENGE)
        name = phone.digest.name if phone is not None and phone.digest is not None else ""
        match self._digest.check(offer, name, self._book.hashes(phone) if phone is not None else None):
            case Shown.STALE:
                return Verdict(Outcome.STALE)
            case Shown.RIGHT if phone is not None:
                return await self._shown(ask, phone)
        return await self._not_shown(ask, offer, phone, now)

    async def source_of(self, connection: Connection, side: Side) -> str:
        """The true one; "" when the gateway does not tell."""
        return connection.peer[0] if side is Side.LOCAL else await self._origins.of(connection)

    def blocked(self, source: str) -> bool:
        """Whether a source was refused too often."""
        return self._refused.too_many(source, self._clock())

    def named(self, mac: str, source: str, text: str) -> None:
        """A phone's MAC was named by somebody who is not it."""
        phone = self._book.phone(mac)
        if phone is not None and phone.approved:
            self._guess(phone, source, text)
        else:
            self.refused(mac, source, text)

    def expects(self, phone: PhoneRecord, side: Side, source: str, now: float) -> bool:
        """Whether the phone would be given its first configuration from there now."""
        return not self._elsewhere(phone, source) and not self._window(phone, side, source, now)

    def refused(self, mac: str, source: str, text: str) -> None:
        """Something was refused at a phone that counts against the source."""
        self._refused.note(source, self._clock())
        self._witness.note(mac, Kind.REFUSED, text + _from(source))

    # --- the four cases

    async def _shown(self, ask: Ask, phone: PhoneRecord) -> Verdict:
        certificate = ask.connection.certificate
        if phone.certificate_subject and certificate != phone.certificate_subject:
            source = await self.source_of(ask.connection, ask.side)
            self._guess(phone, source, "its digest came without the certificate that the phone has")
            return Verdict(Outcome.CHALLENGE)
        # A phone of its own accord asks often; where from is looked up beside it, and holds nothing up.
        self._binder.used(phone, ask.side, ask.connection, certificate)
        source = ask.connection.peer[0] if ask.side is Side.LOCAL else ""
        return Verdict(Outcome.PHONE, self._book.phone(phone.mac) or phone, source)

    async def _not_shown(self, ask: Ask, offer: Offer, phone: PhoneRecord | None, now: float) -> Verdict:
        source = await self.source_of(ask.connection, ask.side)
        if self.blocked(source):
            self._witness.note(ask.identity.mac, Kind.REFUSED, "not looked at: too many refusals" + _from(source))
            return Verdict(Outcome.SILENCE, source=source)
        factory = self._digest.check(offer, FACTORY_CREDENTIALS.name, _FACTORY)
        if factory is Shown.STALE:
            return Verdict(Outcome.STALE)
        if factory is Shown.RIGHT:
            return Verdict(Outcome.CHALLENGE) if ask.page else self._factory(ask, phone, source, now)
        if looks_like_number(offer.username) and self._takes_code(ask):
            return await self._code(ask, offer, source)
        self.named(ask.identity.mac, source, "a wrong digest was sent for it")
        return Verdict(Outcome.CHALLENGE, source=source)

    def _factory(self, ask: Ask, phone: PhoneRecord | None, source: str, now: float) -> Verdict:
        stranger = Verdict(Outcome.STRANGER, source=source)
        if phone is None:
            return self._unknown_phone(ask, stranger, now)
        self._saw(ask, source, now)
        if phone.state is State.REVOKED:
            self.refused(phone.mac, source, "asked for its configuration; it is revoked")
            return stranger
        if phone.state is State.NEW:
            return stranger
        if phone.bound_at is not None:
            self._guess(phone, source, "asked with the factory's credentials, although it has its own digest")
            return stranger
        if self._elsewhere(phone, source) and phone.window_open(now):
            self._guess(phone, source, f"its first configuration is for {phone.window_source} alone")
            return stranger
        reason = self._window(phone, ask.side, source, now)
        if reason:
            self._witness.note(phone.mac, Kind.REFUSED, reason + _from(source))
            return stranger
        return Verdict(Outcome.PHONE, phone, source)

    def _window(self, phone: PhoneRecord, side: Side, source: str, now: float) -> str:
        """Why the first delivery does not take place, "" when it does."""
        if not phone.window_open(now):
            return "its first configuration was not fetched in time; approve it again, or give its user a one-time code"
        if not source:
            # Where the source was known at the approval, it must be known now: who can slow the gateway down for a
            # moment, must not get round it.
            if side is Side.TELEWORKER and not phone.window_source and self._settings.window_without_origin:
                return ""
            return f"its first configuration waits for a known source; {self._origins.trouble or 'there is none'}"
        # Approved without a source: it was not seen yet, or from where is not known. The first to come is it.
        return ""

    async def _code(self, ask: Ask, offer: Offer, source: str) -> Verdict:
        result = await self._codes.log_in(
            self._sighting(ask, source),
            offer.username,
            lambda hashes: self._digest.check(offer, offer.username, hashes),
        )
        if result.stale:
            return Verdict(Outcome.STALE)
        if result.phone is None:
            self.refused(ask.identity.mac, source, result.refused)
            return Verdict(Outcome.CHALLENGE, source=source)
        return Verdict(Outcome.PHONE, result.phone, source)

    async def _known_by_source(self, ask: Ask, phone: PhoneRecord | None, now: float) -> Verdict:
        """For handsets that send their digest for files only, where the settings allow it."""
        if not (ask.page and self._settings.pages_by_source):
            return Verdict(Outcome.CHALLENGE)
        source = await self.source_of(ask.connection, ask.side)
        if phone is not None and phone.approved and self._binder.was_at(phone.mac, source, now):
            return Verdict(Outcome.PHONE, phone, source)
        return Verdict(Outcome.CHALLENGE)

    # --- helpers

    def _elsewhere(self, phone: PhoneRecord, source: str) -> bool:
        return bool(source) and phone.window_source not in ("", source)

    def _takes_code(self, ask: Ask) -> bool:
        """Only over TLS: who hears a digest of ten digits has them in a moment."""
        return ask.connection.secure and not ask.page and self._settings.provision.log_in != "off"

    def _unknown_phone(self, ask: Ask, stranger: Verdict, now: float) -> Verdict:
        limits = self._settings.limits
        # Where the source is not known all phones outside are one, for the alarm alone.
        source = stranger.source or "outside"
        count, fits = self._unknown.note(source, ask.identity.mac, now)
        if count >= limits.alarm_unknown:
            text = f"{count} phones that nobody knows asked within {limits.refusal_window / 60:.0f} minutes"
            self._witness.alarm("phones-unknown", source, text)
        if fits or not stranger.source:
            self._saw(ask, stranger.source, now)
        return stranger

    def _guess(self, phone: PhoneRecord, source: str, text: str) -> None:
        """Somebody names an approved phone and does not show that it is it."""
        self.refused(phone.mac, source, text)
        count = self._guessed.note(phone.mac, self._clock())
        if count >= self._settings.limits.alarm_refusals:
            where = source or "outside; the gateway does not tell where"
            self._witness.alarm("phone-guessed", pretty_mac(phone.mac), f"{text}; the last time from {where}")

    def _saw(self, ask: Ask, source: str, now: float) -> None:
        self._witness.saw(self._sighting(ask, source, now))

    def _sighting(self, ask: Ask, source: str, now: float | None = None) -> Sighting:
        identity = ask.identity
        at = now if now is not None else self._clock()
        return Sighting(identity.mac, at, identity.model, identity.firmware, identity.user_agent, ask.side, source)


def _from(source: str) -> str:
    return f" (from {source})" if source else " (from outside)"
