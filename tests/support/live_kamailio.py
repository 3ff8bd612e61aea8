"""A gateway whose ICP is Kamailio, with sipp as remote phones and as office phones registered at Kamailio."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.kamailio import Kamailio
from support.live_gateway import QUIET, FlowSite
from support.network import LoopbackNetwork
from support.sipp_flow import Party
from support.sipp_run import SippParty, play


def remote(n: int, target: str = "") -> Party:
    """The phone of device n, which is extension 100<n>."""
    return Party(f"tw{n}", f"set-{n}-Secret", target)


def office(number: str, target: str = "") -> Party:
    """A phone at Kamailio."""
    return Party(number, f"icp-{number}-Secret", target, proxied=True)


class KamailioSite(FlowSite):
    """See the module. Remote phones 1 and 2 and the office phones are registered on entering."""

    def desk(self, party: Party, name: str = "", *, echo: bool = False) -> SippParty:
        """An office phone; its host is its number's last three digits. With `echo` what it hears goes back."""
        local = self.network.at(f"20.{party.user[1:]}")
        more = ("-rtp_echo",) if echo else ()
        return SippParty(self.folder, name or party.user, party, local=local, remote=self.pbx_address, more=more)

    async def register(self, *numbers: str) -> None:
        phones = [self.phone(remote(n).register(), f"register-{n}", home=n) for n in self.remote]
        await play(*phones, *(self.desk(office(number).register(), f"register-{number}") for number in numbers))

    async def talk(self, phone: Party, desk: Party) -> None:
        """Play remote phone 1 and an office phone, whoever is called first."""
        parties = [self.phone(phone), self.desk(desk)]
        await self.play(*(reversed(parties) if phone.calls else parties))

    async def play(self, *parties: SippParty) -> None:
        """All must meet with what they expect, and no call may be left."""
        await play(*parties)
        await self.assert_idle()


@asynccontextmanager
async def kamailio_site(
    network: LoopbackNetwork, folder: Path, *numbers: str, extra: str = ""
) -> AsyncIterator[KamailioSite]:
    """A started site with these office phones."""
    site = KamailioSite(network, folder, remote=(1, 2), extra_gateway=QUIET + extra)
    with Kamailio(folder / "kamailio", site.pbx_address) as kamailio:
        kamailio.listen()
        await site.start_gateway()
        try:
            await site.register(*numbers)
            yield site
        finally:
            await site.gateway.stop()
