"""Reading and writing phones and one-time codes. Secrets are sealed here, and opened; nobody else touches the rows.

Whoever writes publishes `topics.PHONES` afterwards, so that what phones are given changes.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from opx.store.engine import for_reading
from opx.store.notices import AnnouncingSession
from opx.store.secrets import Sealer
from opx.suite.handsets import codes, entering, sightings
from opx.suite.handsets.models import OneTimeCode, Phone
from opx.suite.handsets.records import (
    ADMIN_PASSWORD_DIGITS,
    USER_PASSWORD_DIGITS,
    CodeRecord,
    PhoneRecord,
    Side,
    Sighting,
    State,
    normal_mac,
    random_digest,
    random_digits,
)
from opx.suite.sites.models import SipExtension
from opx.suite.sites.records import Conflict, Credentials, Missing, SiteError

ENTERED_AT_ONCE = 100
"""Phones entered in one transaction; on SQLite everybody else's writes wait for it."""


@dataclass(frozen=True, slots=True)
class PhoneQuery:
    """Which phones are looked for; what is left out does not matter. `text` stands in MAC, model, extension, source."""

    text: str = ""
    state: State | None = None
    side: Side | None = None
    extension_id: int | None = None
    macs: Collection[str] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.text:
            columns = (Phone.mac, Phone.model, Phone.firmware, Phone.source, SipExtension.number, SipExtension.name)
            bare = self.text.replace(":", "").replace("-", "")
            found.append(
                or_(
                    *(column.icontains(self.text, autoescape=True) for column in columns),
                    Phone.mac.icontains(bare or self.text, autoescape=True),
                )
            )
        if self.state is not None:
            found.append(Phone.state == self.state.value)
        if self.side is not None:
            found.append(Phone.side == self.side.value)
        if self.extension_id is not None:
            found.append(or_(Phone.extension_id == self.extension_id, Phone.hot_desk_id == self.extension_id))
        if self.macs is not None:
            found.append(Phone.mac.in_(self.macs))
        return found


class PhoneRepository:
    """All phones. `version` arguments: what the writer has seen; None writes in any case."""

    def __init__(self, engine: AsyncEngine, sealer: Sealer) -> None:
        self.engine = engine
        self._sealer = sealer
        self._sessions = async_sessionmaker(engine, expire_on_commit=False, sync_session_class=AnnouncingSession)
        self._reading = async_sessionmaker(for_reading(engine), expire_on_commit=False)

    # --- reading

    async def phones(
        self, query: PhoneQuery | None = None, limit: int | None = None, offset: int = 0
    ) -> tuple[list[PhoneRecord], int]:
        """A page of those that match, those nobody has vouched for and the last seen first, and how many match."""
        own = (Phone.extension_id == SipExtension.id) | (
            Phone.extension_id.is_(None) & (Phone.hot_desk_id == SipExtension.id)
        )
        matching = select(Phone).outerjoin(SipExtension, own).where(*(query or PhoneQuery()).conditions())
        page = matching.order_by(
            (Phone.state != State.NEW.value), func.coalesce(Phone.last_seen, 0).desc(), Phone.mac
        ).limit(limit)
        async with self._reading() as session:
            total = await session.scalar(select(func.count()).select_from(matching.subquery()))
            return [self._record(row) for row in await session.scalars(page.offset(offset))], total or 0

    async def all(self, macs: Collection[str] | None = None) -> list[PhoneRecord]:
        """All phones, or those of some MACs that there are."""
        query = select(Phone) if macs is None else select(Phone).where(Phone.mac.in_(macs))
        async with self._reading() as session:
            return [self._record(row) for row in await session.scalars(query)]

    async def phone(self, mac: str) -> PhoneRecord:
        """Missing."""
        async with self._reading() as session:
            return self._record(await _row(session, mac))

    async def count(self, state: State) -> int:
        async with self._reading() as session:
            return await session.scalar(select(func.count()).where(Phone.state == state.value)) or 0

    # --- what an administrator does

    async def add(self, mac: str, model: str = "") -> PhoneRecord:
        """Enter a phone by hand, before it was seen. SiteError when there is one of this MAC."""
        async with self._writing() as session:
            mac = normal_mac(mac)
            if await session.get(Phone, mac) is not None:
                raise SiteError("there is a phone of this MAC address already", "mac")
            row = Phone(mac=mac, model=model)
            session.add(row)
            await session.flush()
            return self._record(row)

    async def enter(self, wishes: Sequence[tuple[str, str, int | None]]) -> list[str]:
        """Enter many phones, each a MAC, a model and an extension's id or None, each for itself, or give those that
        there are their extension; in their order why not, "" when it is done."""
        results: list[str] = []
        for step in range(0, len(wishes), ENTERED_AT_ONCE):
            async with self._writing() as session:
                results += await entering.enter(session, wishes[step : step + ENTERED_AT_ONCE])
        return results

    async def approve(
        self, mac: str, now: float, window: float, source: str = "", version: int | None = None
    ) -> PhoneRecord:
        """The phone may have secrets, and gets a digest of its own, new in any case: one from before serves no more.

        For `window` seconds the file that brings it is delivered without it, to the true `source` alone; "" is the one
        that the phone was last seen at. Missing, Conflict.
        """
        async with self._writing() as session:
            row = await _row(session, mac, version)
            self._approve(row, now, window, source or row.source)
            await session.flush()
            return self._record(row)

    async def revoke(self, mac: str, version: int | None = None) -> PhoneRecord:
        """The phone gets nothing secret any more, and its digest is void. Missing, Conflict."""
        async with self._writing() as session:
            row = await _row(session, mac, version)
            row.state = State.REVOKED.value
            row.digest_user, row.digest_password_sealed = "", None
            row.bound_at, row.bound_source, row.window_until, row.window_source = None, "", None, ""
            row.certificate_subject = ""
            row.hot_desk_id = None
            await session.flush()
            return self._record(row)

    async def forget(self, mac: str, version: int | None = None) -> None:
        """Remove the phone; when it asks again it is a new one. Missing, Conflict."""
        async with self._writing() as session:
            await session.delete(await _row(session, mac, version))

    async def assign(self, mac: str, extension_id: int | None, version: int | None = None) -> PhoneRecord:
        """Make it the phone of an extension, or of none. SiteError when another phone is; Missing, Conflict."""
        async with self._writing() as session:
            row = await _row(session, mac, version)
            await _assign(session, row, extension_id)
            await session.flush()
            return self._record(row)

    async def give_profiles(
        self, mac: str, configuration: int | None, keymap: int | None, version: int | None = None
    ) -> PhoneRecord:
        """The handset's own configuration and keymap profile, None for none. Missing, Conflict."""
        async with self._writing() as session:
            row = await _row(session, mac, version)
            row.configuration_profile_id, row.keymap_profile_id = configuration, keymap
            await session.flush()
            return self._record(row)

    async def hot_desk(self, mac: str, extension_id: int | None) -> tuple[PhoneRecord, str]:
        """Log a hot desk extension in at a phone, None to log out; also the MAC of the phone that it left, or "".

        SiteError when it is no hot desk extension, or a phone's own; Missing.
        """
        async with self._writing() as session:
            row, left = await _row(session, mac), ""
            if extension_id is not None:
                left = await _leave(session, row, extension_id)
            row.hot_desk_id = extension_id
            await session.flush()
            return self._record(row), left

    # --- one-time codes

    async def make_code(self, extension_id: int, now: float, lasting: float) -> str:
        """A code for the Log In key, shown once: it cannot be read again. SiteError, Missing."""
        async with self._writing() as session:
            extension = await _extension(session, extension_id)
            if extension.hot_desk:
                raise SiteError(f"{extension.number} is a hot desk extension; it is logged in to at any phone")
            return await codes.make(session, self._sealer, extension_id, extension.number, now, now + lasting)

    async def drop_code(self, extension_id: int) -> None:
        async with self._writing() as session:
            await session.execute(delete(OneTimeCode).where(OneTimeCode.extension_id == extension_id))

    async def code_list(self, now: float) -> list[CodeRecord]:
        """Those that have not expired."""
        async with self._reading() as session:
            rows = await session.scalars(select(OneTimeCode).where(OneTimeCode.expires_at > now))
            return [codes.record(row) for row in rows]

    async def code_for(self, number: str, now: float, tries: int) -> list[tuple[CodeRecord, codes.Verifier]]:
        """The codes that an extension number may log in with, several when PBXs have the same number. They have not
        expired, and have had fewer wrong `tries`."""
        query = (
            select(OneTimeCode)
            .join(SipExtension, SipExtension.id == OneTimeCode.extension_id)
            .where(SipExtension.number == number, OneTimeCode.expires_at > now, OneTimeCode.tries < tries)
        )
        async with self._reading() as session:
            rows = await session.scalars(query)
            return [(codes.record(row), codes.opened(row, self._sealer)) for row in rows]

    async def note_wrong_code(self, extension_ids: Collection[int]) -> None:
        async with self._writing() as session:
            wanted = OneTimeCode.extension_id.in_(extension_ids)
            await session.execute(update(OneTimeCode).where(wanted).values(tries=OneTimeCode.tries + 1))

    async def redeem(
        self, sighting: Sighting, extension_id: int, verifier: codes.Verifier, now: float, window: float
    ) -> PhoneRecord:
        """A right code was typed at a phone: it is approved and becomes the extension's. SiteError when the code was
        used, replaced or has expired meanwhile, or the extension is another phone's; Missing."""
        async with self._writing() as session:
            code = await session.get(OneTimeCode, extension_id)
            if code is None or code.expires_at <= now or not codes.matches(codes.opened(code, self._sealer), verifier):
                raise SiteError("the code has expired, or there is another one meanwhile")
            if code.redeemed_by not in ("", sighting.mac):
                raise SiteError("the code was used already")
            row = await session.get(Phone, sighting.mac)
            if row is None:
                row = Phone(
                    mac=sighting.mac, **sightings.values_of(sighting), first_seen=sighting.at, state=State.NEW.value
                )
                session.add(row)
                await session.flush()
            if row.state == State.REVOKED.value:
                raise SiteError("the phone was revoked; only an administrator may approve it again")
            await _assign(session, row, extension_id)
            self._approve(row, now, window, sighting.source)
            code.redeemed_by = sighting.mac
            await session.flush()
            return self._record(row)

    # --- what the handset server notes

    async def bind(self, mac: str, source: str, now: float, certificate: str = "") -> PhoneRecord:
        """The phone has used its own digest: from now on nothing secret goes out without it, nor without the client's
        `certificate` (its subject) that came with it, if one did. Missing."""
        async with self._writing() as session:
            row = await _row(session, mac)
            row.bound_at, row.bound_source = row.bound_at or now, row.bound_source or source
            row.window_until, row.window_source = None, ""
            row.certificate_subject = certificate[:255]
            await session.execute(delete(OneTimeCode).where(OneTimeCode.redeemed_by == mac))
            await session.flush()
            return self._record(row)

    async def note(self, seen: Sequence[Sighting], most_new: int) -> list[str]:
        """Write down what was seen, the last of each phone; the MACs that were new. Beyond `most_new` phones that
        nobody has approved, unknown ones are left out. No record's version changes by it."""
        async with self.engine.begin() as connection:
            return await sightings.write(connection, seen, most_new)

    async def forget_new(self, before: float) -> list[str]:
        """Forget phones that nobody has approved or given an extension, and that were last seen before; their MACs."""
        old = (Phone.state == State.NEW.value) & Phone.extension_id.is_(None) & (Phone.last_seen < before)
        async with self._writing() as session:
            gone = list(await session.scalars(select(Phone.mac).where(old)))
            await session.execute(delete(Phone).where(old))
        return gone

    # --- helpers

    def _approve(self, row: Phone, now: float, window: float, source: str) -> None:
        digest = random_digest(row.mac)
        row.state = State.APPROVED.value
        row.digest_user = digest.name
        row.digest_password_sealed = self._sealer.seal(digest.password, f"phone:digest:{row.mac}")
        if row.admin_password_sealed is None:
            admin = random_digits(ADMIN_PASSWORD_DIGITS)
            row.admin_password_sealed = self._sealer.seal(admin, f"phone:admin:{row.mac}")
            user = random_digits(USER_PASSWORD_DIGITS)
            row.user_password_sealed = self._sealer.seal(user, f"phone:user:{row.mac}")
        row.bound_at, row.bound_source, row.certificate_subject = None, "", ""
        row.window_until, row.window_source = now + window, source

    def _record(self, row: Phone) -> PhoneRecord:
        password = self._open(row, row.digest_password_sealed, "digest")
        return PhoneRecord(
            row.mac,
            row.model or "",
            row.firmware or "",
            row.user_agent or "",
            State(row.state or State.NEW.value),
            row.side or "",
            row.extension_id,
            row.hot_desk_id,
            Credentials(row.digest_user, password) if password else None,
            self._open(row, row.admin_password_sealed, "admin"),
            self._open(row, row.user_password_sealed, "user"),
            row.bound_at,
            row.bound_source or "",
            row.window_until,
            row.window_source or "",
            row.source or "",
            row.first_seen,
            row.last_seen,
            row.delivered or "",
            row.delivered_at,
            row.configuration_profile_id,
            row.keymap_profile_id,
            row.certificate_subject or "",
            row.version or 1,
        )

    def _open(self, row: Phone, sealed: bytes | None, what: str) -> str:
        return self._sealer.open(sealed, f"phone:{what}:{row.mac}") if sealed is not None else ""

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncSession]:
        try:
            async with self._sessions.begin() as session:
                yield session
        except StaleDataError:
            raise Conflict("somebody else has changed it meanwhile") from None
        except IntegrityError:
            raise SiteError("another phone has this extension already", "extension_id") from None


async def _row(session: AsyncSession, mac: str, version: int | None = None) -> Phone:
    row = await session.get(Phone, mac)
    if row is None:
        raise Missing("there is no such phone")
    if version is not None and version != row.version:
        raise Conflict("the phone was changed by somebody else meanwhile")
    return row


async def _extension(session: AsyncSession, extension_id: int) -> SipExtension:
    row = await session.get(SipExtension, extension_id)
    if row is None:
        raise Missing("there is no such SIP extension")
    return row


async def _assign(session: AsyncSession, row: Phone, extension_id: int | None) -> None:
    if extension_id is not None:
        extension = await _extension(session, extension_id)
        other = await session.scalar(select(Phone.mac).where(Phone.extension_id == extension_id))
        if problem := entering.obstacle(extension, row.mac, other):
            raise SiteError(problem, "extension_id")
    row.extension_id = extension_id


async def _leave(session: AsyncSession, row: Phone, extension_id: int) -> str:
    """Log a hot desk extension out where it is; the MAC of that phone."""
    extension = await _extension(session, extension_id)
    if not extension.hot_desk:
        raise SiteError(f"{extension.number} is no hot desk extension", "extension_id")
    other = await session.scalar(select(Phone).where(Phone.hot_desk_id == extension_id))
    if other is None or other.mac == row.mac:
        return ""
    other.hot_desk_id = None
    await session.flush()
    return other.mac
