"""A handset configuration server inside the test's process, and handsets that ask it as the guide's phones do."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from opx.sip.digest import Challenge, DigestClient
from opx.suite.handsets.origins import Asked
from opx.suite.handsets.records import FACTORY_CREDENTIALS, PhoneRecord
from opx.suite.handsets.service import HandsetService
from opx.suite.sites.records import Authorization, Credentials, GatewaySpec, Locations
from opx.suite.timeline import phone_subject
from support.suite_store import read, suite_file, with_pbx

SUITE = "192.168.20.10"
GATEWAY = "192.168.20.1"
HOME = "198.51.100.7"
OUTSIDE = "203.0.113.1"
MAC = "1400E9123456"
OTHER = "1400E9654321"
NOT_FOUND = (404, b"Not found\n")


@dataclass
class HandsetSite:
    """`homes` is the gateway's memory: the true source by the port that a connection comes from."""

    service: HandsetService
    extensions: Mapping[str, int]
    homes: dict[int, str] = field(default_factory=dict)
    looked_up: list[Sequence[Asked]] = field(default_factory=list)
    trouble: Exception | None = None

    async def look_up(self, asked: Sequence[Asked]) -> Sequence[str | None]:
        self.looked_up.append(asked)
        if self.trouble is not None:
            raise self.trouble
        return [self.homes.get(peer[1]) for peer, _ in asked]

    async def phone(self, mac: str = MAC) -> PhoneRecord:
        return await self.service.house.phones.phone(mac)

    async def settled(self) -> None:
        """All that goes on beside requests is done, and written down."""
        await self.service.binder.settle()
        await self.service.witness.flush()
        await self.service.alarms.flush()
        await self.service.origin_alarms.flush()

    async def timeline(self, mac: str = MAC) -> list[str]:
        """The oldest first."""
        await self.settled()
        entries = await self.service.house.timeline.entries(phone_subject(mac))
        return [entry.text for entry in reversed(entries)]

    async def alarms(self) -> list[tuple[str, str]]:
        await self.settled()
        found, _ = await self.service.alarms.repository.alarms(standing=True)
        return [(alarm.kind, alarm.subject) for alarm in found]

    async def approve(self, mac: str = MAC, number: str = "", source: str = "") -> PhoneRecord:
        """As an administrator does on the Phones page."""
        phones = self.service.house.phones
        if number:
            await phones.assign(mac, self.extensions[number])
        phone = await phones.approve(mac, self.service.clock(), 900.0, source)
        self.service.book.put(phone)
        return phone


@dataclass
class Handset:
    """One connection of a handset: from the gateway's inside address with `home` behind it, or of the LAN (`lan`)."""

    site: HandsetSite
    mac: str = MAC
    model: str = "6930"
    home: str = HOME
    lan: str = ""
    port: int = 40000
    credentials: Credentials = FACTORY_CREDENTIALS
    scheme: str = "https"
    user_agent: str = ""

    def __post_init__(self) -> None:
        if not self.lan:
            self.site.homes[self.port] = self.home

    async def ask(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> httpx.Response:
        """One request, without an answer to a challenge."""
        transport = httpx.ASGITransport(
            app=self.site.service.app, client=(self.lan or GATEWAY, self.port), raise_app_exceptions=True
        )
        pairs = ":".join(self.mac[index : index + 2] for index in range(0, 12, 2)).replace(":", "-")
        agent = self.user_agent or f"Mitel{self.model} MAC:{pairs} V:6.4.0.140-SIP"
        port = 8202 if self.scheme == "https" else 8203
        async with httpx.AsyncClient(transport=transport, base_url=f"{self.scheme}://{SUITE}:{port}") as client:
            return await client.request(method, path, headers={"user-agent": agent, **(headers or {})})

    async def fetch(self, path: str = "", *, method: str = "GET") -> httpx.Response:
        """With an answer to the challenge, if there is one; a stale nonce is tried once more."""
        path = path or f"/{self.mac}.cfg"
        answer = await self.ask(path, method=method)
        client = DigestClient(self.credentials.name, self.credentials.password)
        for _ in range(2):
            if answer.status_code != 401:
                break
            offered = [Challenge.parse(value) for value in answer.headers.get_list("www-authenticate")]
            header = client.answer(offered, method, path)
            assert header is not None
            answer = await self.ask(path, method=method, headers={header[0]: header[1]})
            if "stale=true" not in answer.headers.get("www-authenticate", ""):
                break
        return answer


def parameters(answer: httpx.Response) -> dict[str, str]:
    """What a file sets; a locked name begins with `!`, one that takes back the user's change with `^`."""
    lines = [line for line in answer.text.splitlines() if line and not line.startswith("#")]
    return {name: value.strip().strip('"') for name, _, value in (line.partition(":") for line in lines)}


@asynccontextmanager
async def handset_site(
    folder: Path, settings: str = "", clock: Callable[[], float] | None = None
) -> AsyncIterator[HandsetSite]:
    """Extensions 2001 and 2002 for teleworkers, 2003 of the LAN alone, 2900 a hot desk one."""
    file = suite_file(folder, SUITE, more=settings)
    service = HandsetService(file) if clock is None else HandsetService(file, clock)
    await service.open()
    try:
        sites = service.house.sites
        await sites.gateway.save(GatewaySpec(GATEWAY, rest_api=True))
        await sites.save_locations(Locations("opx.example.com", OUTSIDE))
        pbx, _ = await with_pbx(sites)
        numbers = [read(number) for number in ("2001", "2002", "2003")]
        await sites.take_over(pbx.id, [*numbers, read("2900", hot_desk=True)], 1_700_000_000.0)
        found, _ = await sites.extensions()
        extensions = {item.number: item.id for item in found}
        for number in ("2001", "2002"):
            await sites.authorize(extensions[number], Authorization(True, f"tw-{number}", f"set-Side-{number}"))
        await service.keeper.take_over_all()
        site = HandsetSite(service, extensions)
        service.origins.look_up = site.look_up
        yield site
    finally:
        await service.stop()
