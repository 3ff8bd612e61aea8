"""A suite that provisions a gateway's real web services, in one process, with a clock that a test turns."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from opx.gateway.records import DeviceRecord, DeviceSpec, IcpSpec
from opx.gateway.webservices.records import ConsumerSpec
from opx.sip.digest import Algorithm, ha1
from opx.suite.provisioning.records import ProvisionState, State
from opx.suite.provisioning.service import Provisioning
from opx.suite.provisioning.settings import ProvisioningSettings
from opx.suite.sites.repository import ExtensionQuery, SiteRepository
from opx.suite.timeline import GATEWAY, Timeline, extension_subject
from opx.suite.topics import EXTENSIONS, SITES
from support.gateway_store import REALM
from support.suite_gateway import Board, with_token
from support.suite_store import PBX_ADDRESS, open_suite, with_pbx
from support.web_services import GUIDE, WebSite

DONE = ProvisionState.PROVISIONED
BY_HAND = "By-Hand-7secret"


class ProvisionedSite:
    """`provisioning` is the suite's, made anew by `restart`; `now` is its clock."""

    def __init__(self, sites: SiteRepository, web: WebSite, settings: ProvisioningSettings) -> None:
        self.sites = sites
        self.web = web
        self.settings = settings
        self.board = Board()
        self.timeline = Timeline(sites.engine)
        self.now = 1_800_000_000.0
        self.ids: dict[str, int] = {}
        self._begin()

    async def restart(self) -> None:
        """As a process that was killed and started again: nothing is known but what the database holds."""
        await self.provisioning.link.close()
        self._begin()

    def _begin(self) -> None:
        self.board = Board()
        self.provisioning = Provisioning(self.sites, self.timeline, self.board, self.settings, clock=lambda: self.now)

    async def has(self, *numbers: str) -> None:
        """The PBX with these extensions."""
        await with_pbx(self.sites, *numbers)
        found, _ = await self.sites.extensions(ExtensionQuery())
        self.ids = {extension.number: extension.id for extension in found}

    async def token(self, spec: ConsumerSpec = GUIDE, *, fresh: bool = True) -> None:
        await with_token(self.sites, self.board, self.web, spec, fresh=fresh)

    def icp(self, host: str = PBX_ADDRESS, name: str = "Node 1") -> int:
        return self.web.do(self.web.repository.save_icp(IcpSpec(name, host, type="MiVoice Office 250")))[0].id

    async def tick(self, *numbers: str, on: bool = True) -> None:
        keys = [self.ids[number] for number in numbers]
        assert not any(result.refused for result in await self.sites.tick(keys, on))
        self.board.publish(EXTENSIONS, [str(key) for key in keys])

    async def changed(self, number: str) -> None:
        self.board.publish(EXTENSIONS, [str(self.ids[number])])

    async def work(self, after: float = 0.0) -> float:
        """Let the suite do what is due, `after` seconds."""
        self.now += after
        return await self.provisioning.work_due()

    async def state(self, number: str) -> State | None:
        return await self.provisioning.kept.state(self.ids[number])

    async def states(self, *numbers: str) -> list[ProvisionState | None]:
        found = [await self.state(number) for number in numbers]
        return [state.state if state is not None else None for state in found]

    def devices(self) -> dict[str, DeviceRecord]:
        """What the gateway has, by the number at the ICP."""
        return {device.icp_username: device for device in self.web.do(self.web.repository.devices())}

    def by_hand(self, set_username: str, icp_username: str, password: str = BY_HAND) -> DeviceRecord:
        """Add or change a SIP user on the gateway."""
        spec = DeviceSpec(set_username, password, "Node 1", icp_username, password, "by hand")
        return self.web.do(self.web.repository.save_device(spec))[0]

    async def assert_agrees(self, *numbers: str) -> None:
        """The gateway has exactly these, as the suite wants them."""
        devices = self.devices()
        assert set(devices) == set(numbers)
        for number in numbers:
            extension, device = await self.sites.extension(self.ids[number]), devices[number]
            assert extension.internal and extension.remote
            assert device.icp_password == extension.internal.password
            assert device.set_username == extension.remote.name
            expected = ha1(Algorithm.MD5, extension.remote.name, REALM, extension.remote.password)
            assert device.set_ha1[Algorithm.MD5.value] == expected
            state = await self.state(number)
            assert state and (state.state, state.device_id, state.error) == (DONE, device.id, "")

    async def told(self, number: str = "") -> str:
        """What a timeline says, an extension's or the gateway's."""
        subject = extension_subject(self.ids[number]) if number else GATEWAY
        return "\n".join(entry.text for entry in await self.timeline.entries(subject))

    async def note_settings(self) -> None:
        self.board.publish(SITES)


@asynccontextmanager
async def provisioned_site(
    folder: Path, web: WebSite, settings: ProvisioningSettings | None = None, numbers: Sequence[str] = ()
) -> AsyncIterator[ProvisionedSite]:
    async with open_suite(folder) as sites:
        site = ProvisionedSite(sites, web, settings or ProvisioningSettings())
        await site.has(*numbers)
        try:
            yield site
        finally:
            await site.provisioning.link.close()
