"""Gateway and suite as real programs, and what goes wrong between them: everything heals, or says what to do."""

import asyncio
import shutil
from pathlib import Path

from opx.gateway.records import DeviceSpec
from opx.suite.provisioning.records import ProvisionState
from opx.suite.sites.records import NodeSpec, PbxSpec
from opx.suite.timeline import GATEWAY, Timeline, extension_subject
from opx.suite.topics import EXTENSIONS, PROVISION_NOW, SITES
from support.network import LoopbackNetwork
from support.real_site import RealSite, real_site
from support.suite_store import read

NUMBERS = [f"10{n:02}" for n in range(1, 21)]
SUITE = """
[provisioning]
bulk_size = 1
gateway_retry_min = 0.1
gateway_retry_max = 0.5
icp_look = 1
"""
"""One extension in each write, so that there is a middle; nobody is made to wait."""


async def tick(site: RealSite, numbers: list[str], on: bool = True) -> None:
    found, _ = await site.sites.extensions()
    keys = [extension.id for extension in found if extension.number in numbers]
    await site.sites.tick(keys, on)
    await site.tell(EXTENSIONS, keys)


async def agrees(site: RealSite, numbers: list[str]) -> bool:
    counts = await site.kept.counts()
    return await site.numbers() == numbers and counts == {ProvisionState.PROVISIONED: len(numbers)}


async def test_stages_out_of_order_and_everything_that_goes_wrong_later(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    async with real_site(tmp_path, loopback, SUITE) as site:
        gateway, suite = await asyncio.gather(site.start("gateway"), site.start("suite"))
        # Ticked before anything else is there: no token, no ICP, no NAT address.
        pbx = await site.sites.save_pbx(PbxSpec("Office"))
        await site.sites.save_node(NodeSpec(pbx.id, "Node 1", site.node))
        await site.sites.take_over(pbx.id, [read(number) for number in NUMBERS], 1.0)
        await tick(site, NUMBERS[:8])
        await site.token()
        icp = await site.icp("10.9.9.9")

        async def failed() -> bool:
            return (await site.kept.counts()).get(ProvisionState.FAILED) == 8

        await site.until(failed, "an ICP of another address to be noticed")
        (first,), _ = await site.kept.listed([ProvisionState.FAILED], 1)
        assert first.state.error == f"the gateway has no ICP with Hostname or IP Address {site.node}"
        await site.repository.delete_icp(icp)
        await site.icp(site.node)
        await site.until(lambda: agrees(site, NUMBERS[:8]), "the right address to heal it")

        # The token is revoked in the middle.
        (token,) = await site.web_services.final_tokens()
        await tick(site, NUMBERS[:16])

        async def begun() -> bool:
            return len(await site.numbers()) > 8

        await site.until(begun, "the work to begin")
        await site.web_services.revoke(token.id)
        # On a machine that stood still just now, it may have been no middle any more.
        await tick(site, NUMBERS[16:17])
        await site.until(lambda: trouble(site, "token-ended"), "the revoked token to be noticed")
        await site.token(first=False)
        await site.until(lambda: agrees(site, NUMBERS[:17]), "the new token to heal it")

        # The suite is killed in the middle; the gateway goes away meanwhile, and comes back with another certificate.
        await tick(site, NUMBERS[:20])
        suite.kill()
        gateway.stop()
        await site.start("suite")
        await site.until(lambda: trouble(site, "unreachable"), "the gateway to be missed")
        await tick(site, NUMBERS[:4], on=False)
        shutil.rmtree(tmp_path / "certificates")
        before = await site.numbers()
        await site.start("gateway")
        await site.until(lambda: trouble(site, "certificate-changed"), "the other certificate to be noticed")
        met = await site.sites.gateway.read()
        assert met.offered_fingerprint == await site.exchange.fingerprint() != met.fingerprint
        assert await site.numbers() == before
        await site.exchange.trust(met.offered_fingerprint)
        await site.tell(SITES)
        await site.until(lambda: agrees(site, NUMBERS[4:20]), "the trusted certificate to heal it")
        timeline = Timeline(site.sites.engine)
        texts = [entry.text for entry in await timeline.entries(GATEWAY)]
        assert sum("another certificate" in text for text in texts) == 1

        # Somebody writes on the gateway by hand.
        (device, other, *_) = await site.repository.devices()
        changed = DeviceSpec(device.set_username, "By-Hand-7secret", "Node 1", device.icp_username, "By-Hand-7secret")
        await site.repository.save_device(changed)
        await site.repository.delete_device(other.id)
        await site.tell(PROVISION_NOW)

        async def told() -> bool:
            (extension,) = [it for it in (await site.sites.extensions())[0] if it.number == device.icp_username]
            entries = await timeline.entries(extension_subject(extension.id))
            return any("changed on the gateway by somebody else" in entry.text for entry in entries)

        await site.until(told, "the change by hand to be noticed")
        await site.until(lambda: agrees(site, NUMBERS[4:20]), "the changes by hand to be mended")


async def trouble(site: RealSite, reason: str) -> bool:
    return (await site.kept.run()).reason == reason
