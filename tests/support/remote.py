"""A remote phone of a live site that calls an office phone through the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from opx.phone.softphone import Account, PhoneCall, Softphone
from support.live import LiveSite
from support.phones import TONES, TestPhone, playing, until

OFFICE = "1101"


@dataclass
class RemoteCall:
    """Answered, with a tone from each side; `office_call` is the far end's."""

    phone: Softphone
    office: TestPhone
    call: PhoneCall
    office_call: PhoneCall

    async def hang_up(self) -> None:
        """The remote phone hangs up, and both ends are done."""
        self.phone.hang_up(self.call)
        await until(lambda: self.call.ended.is_set() and self.office_call.ended.is_set())


@asynccontextmanager
async def remote_phone(site: LiveSite, number: int = 1, password: str = "") -> AsyncIterator[Softphone]:
    """The registered phone of device `number`, stopped in the end."""
    account = Account(f"tw{number}", password or f"set-{number}-Secret", site.outside)
    phone = Softphone(account, site.network.at(f"30.{number}"), source=playing(TONES[0]))
    await phone.start()
    phone.register()
    try:
        await until(phone.tried.is_set)
        yield phone
    finally:
        await phone.stop()


@asynccontextmanager
async def remote_call(site: LiveSite) -> AsyncIterator[RemoteCall]:
    """Device 1's phone has called extension 1101 and was answered."""
    office = TestPhone(site, OFFICE, TONES[1])
    try:
        await office.online()
        async with remote_phone(site) as phone:
            call = phone.call(OFFICE)
            await until(call.answered.is_set)
            yield RemoteCall(phone, office, call, office.calls[0])
    finally:
        await office.stop()
