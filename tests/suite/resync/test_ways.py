"""The way to a phone, on a real PBX node; and whom the gateway would tell instead."""

import asyncio
from pathlib import Path

from opx.gateway_client.models import Registration
from opx.kept.bulletin import Hub
from opx.phone.account import Account
from opx.phone.softphone import Softphone
from opx.suite.connectors.opx_node import fingerprint_at
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.handsets.book import Book
from opx.suite.handsets.records import PhoneRecord, State
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.resync.ways import Connectors, Ways, _other_phone
from opx.suite.sites.records import PbxSpec
from support.live import live_office
from support.network import LoopbackNetwork
from support.programs import PATIENCE
from support.suite_store import open_suite, read


def registration(user_agent: str, at: float) -> Registration:
    return Registration(
        host="10.0.0.5",
        port=5060,
        transport="UDP",
        user_agent=user_agent,
        registered_at=at,
        expires_at=at + 300,
        last_seen=at,
        reachable=True,
        at_icp=True,
    )


def test_the_newest_registration_tells_whether_it_is_another_phone() -> None:
    mine, other = "Mitel 6930 MAC:14-00-E9-12-34-56", "Mitel 6940 1400e9abcdef"
    assert _other_phone([registration(mine, 1.0)], "1400E9123456") == ""
    assert _other_phone([registration(mine, 1.0), registration(other, 2.0)], "1400E9123456") == "1400E9ABCDEF"
    assert _other_phone([registration(other, 1.0), registration(mine, 2.0)], "1400E9123456") == ""
    assert _other_phone([registration("a softphone", 1.0)], "1400E9123456") == ""
    assert _other_phone([], "1400E9123456") == ""


async def test_a_phone_of_the_lan_is_told_through_its_node_and_every_failure_has_words(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with live_office(loopback, tmp_path, ["1101"]) as site, open_suite(tmp_path / "suite") as sites:
        bulletin = Hub(tmp_path / "b.sock")
        url = f"https://{site.pbx_address}:8445/"
        token = (tmp_path / "pbx.token").read_text()
        pbx = await sites.save_pbx(PbxSpec("Office", "opx", url, await fingerprint_at(url), token))
        await sites.take_over(pbx.id, [read("1101"), read("1102")], 1.0)
        found, _ = await sites.extensions()
        book = Book()
        book.take_extensions(found, None)
        connectors = Connectors(sites, bulletin, loopback.at("20.10"))
        ways = Ways(book, GatewayLink(sites, bulletin), ProvisioningRepository(sites.engine), connectors)
        inside = PhoneRecord("1400E9123456", state=State.APPROVED, side="local")
        known = {extension.number: extension.id for extension in found}
        told = await ways.tell(inside, [known["1101"]], "check-sync")
        assert (told.well, told.text) == (False, "no phone is registered as extension 1101")
        phone = Softphone(Account("1101", "icp-1101-Secret", site.pbx_address), loopback.at("20.150"))
        await phone.start()
        phone.register()
        async with asyncio.timeout(PATIENCE):
            await phone.tried.wait()
        assert (await ways.tell(inside, [known["1102"], known["1101"]], "check-sync")).well
        assert "no such extension" in (await ways.tell(inside, [known["1102"]], "reboot")).text
        assert "no extension" in (await ways.tell(inside, [99], "reboot")).text
        outside = PhoneRecord("1400E9123456", state=State.APPROVED, side="teleworker")
        assert "is not on the gateway" in (await ways.tell(outside, [known["1101"]], "check-sync")).text
        await phone.stop()
        await connectors.close()
