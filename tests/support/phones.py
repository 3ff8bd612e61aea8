"""Softphones of a test's office on real sockets, each with a tone of its own by which it is recognised."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from opx.phone.softphone import Account, PhoneCall, Softphone, Source
from opx.rtp import tones
from support.live import LiveSite

TONES = (440.0, 660.0, 880.0)
HEARD = 4000
"""Samples: half a second."""
PATIENCE = 30
"""Seconds; a guard against hanging, no measure of anything."""


async def until(true: Callable[[], bool]) -> None:
    """Look at a state until it is so."""
    async with asyncio.timeout(PATIENCE):
        while not true():
            await asyncio.sleep(0.02)


def playing(hertz: float) -> Source:
    return lambda position: tones.sine(hertz, 160, start=position)


class TestPhone(Softphone):
    """An office phone of a live site that plays `tone`; `said` is what happened."""

    __test__ = False

    def __init__(self, site: LiveSite, number: str, tone: float, **options: object) -> None:
        self.said: list[str] = []
        self.number = number
        self.tone = tone
        super().__init__(
            Account(number, f"icp-{number}-Secret", site.pbx_address),
            site.network.at(f"20.{int(number) % 1000}"),
            source=playing(tone),
            on_event=self.said.append,
            **options,  # type: ignore[arg-type]
        )

    async def online(self) -> None:
        await self.start()
        self.register()
        await until(self.tried.is_set)
        assert self.registered.is_set(), self.said


@asynccontextmanager
async def phones(site: LiveSite, *numbers: str, **options: object) -> AsyncIterator[list[TestPhone]]:
    """Registered phones, stopped in the end."""
    made = [TestPhone(site, number, tone, **options) for number, tone in zip(numbers, TONES, strict=False)]
    try:
        for phone in made:
            await phone.online()
        yield made
    finally:
        for phone in made:
            await phone.stop()


async def hears(call: PhoneCall, tone: float) -> None:
    """Until what comes in from now on is that tone."""
    del call.heard[:]
    async with asyncio.timeout(PATIENCE):
        while True:
            await until(lambda: len(call.heard) >= HEARD)
            # What was on its way when somebody else took the place is older than the tone.
            heard = array("h", call.heard[-HEARD // 2 :])
            if tones.dominant(heard, TONES) == tone:
                return
            del call.heard[:]


async def talk(one: PhoneCall, one_tone: float, other: PhoneCall, other_tone: float) -> None:
    """Each hears the other."""
    await hears(one, other_tone)
    await hears(other, one_tone)
