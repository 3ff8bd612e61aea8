"""A gateway on real sockets between sipp as a remote phone and sipp as its ICP, with credentials of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.live import LiveSite
from support.network import LoopbackNetwork
from support.sipp_flow import Party
from support.sipp_run import SippParty, play

PHONE = ("tw1", "set-1-Secret")
ICP = ("1001", "icp-1001-Secret")
OFFICE = "1101"
QUIET = """
[timers]
t1 = 5
[icps]
probe_interval = 3600
[keep_alive]
interval = 0
idle_limit = 3600
[media]
workers = 0
"""
"""Nothing but the flow itself goes over the wire; nothing is sent twice to a sipp that had to wait for a processor, for
it takes each answer to that for a mistake."""


def phone_calls() -> Party:
    """The remote phone, calling an extension of the office."""
    return Party(*PHONE, target=OFFICE)


def phone_answers() -> Party:
    return Party(*PHONE)


def icp_calls() -> Party:
    """The ICP, calling the remote phone for an extension of the office."""
    return Party(OFFICE, "", target=ICP[0])


def icp_answers() -> Party:
    return Party(*ICP)


class FlowSite(LiveSite):
    """See the module; the phone is registered on entering."""

    def phone(self, party: Party, name: str = "phone", *, home: int = 1, calls: int = 1) -> SippParty:
        """The phone of a device, at a home of its own."""
        local = self.network.at(f"30.{home}")
        return SippParty(self.folder, name, party, local=local, remote=self.outside, calls=calls)

    def icp(self, party: Party, name: str = "icp", calls: int = 1) -> SippParty:
        return SippParty(self.folder, name, party, local=self.pbx_address, remote=self.inside, calls=calls)

    async def flow(self, phone: Party, icp: Party, *, phone_calls: int = 1, icp_calls: int = 1) -> None:
        """Play both parties, whoever is called first, and see that no call is left."""
        parties = [self.phone(phone, calls=phone_calls), self.icp(icp, calls=icp_calls)]
        await play(*(reversed(parties) if phone.calls else parties))
        await self.assert_idle()

    async def alone(self, phone: Party) -> None:
        """Play the phone's part of something that the ICP does not hear of."""
        await play(self.phone(phone))
        await self.assert_idle()

    async def icp_alone(self, icp: Party) -> None:
        """Play the ICP's part of something that the phone does not hear of."""
        await play(self.icp(icp))
        await self.assert_idle()

    async def assert_idle(self) -> None:
        """No call and no dialog is left, once the last messages that were sent have been read."""
        signalling = self.gateway.signalling

        def left() -> tuple[int, int, int]:
            return len(signalling.calls), signalling.set_agent.dialogs, signalling.icp_agent.dialogs

        for _ in range(200):
            if not any(left()):
                break
            await asyncio.sleep(0.01)
        assert left() == (0, 0, 0)


@asynccontextmanager
async def flow_site(network: LoopbackNetwork, folder: Path, extra: str = "") -> AsyncIterator[FlowSite]:
    """A started gateway whose phone 1 is registered there and, challenged with other credentials, at the ICP."""
    site = FlowSite(network, folder, remote=(1,), extra_gateway=QUIET + extra)
    # One call is the gateway's question after the ICP's health, the other the registration.
    registrar = site.icp(Party(*ICP).registrar(), "registrar", calls=2)
    with registrar:
        registrar.listen()
        await site.start_gateway()
        try:
            await play(site.phone(Party(*PHONE).register(), "register"))
            assert not (failure := registrar.verdict()), failure
            yield site
        finally:
            await site.gateway.stop()
