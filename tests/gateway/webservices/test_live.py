"""From a consumer's request to a remote phone: the web face beside a running gateway, a PBX node and a softphone."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from opx.config import SettingsFile
from opx.gateway.web.service import WebService
from opx.gateway.webservices.records import RESOURCES, ConsumerSpec, Permission
from opx.gateway_client.access import request_access, retrieve_access
from opx.gateway_client.client import GatewayClient
from opx.gateway_client.errors import NotTrusted
from opx.gateway_client.models import DeviceWish, ForwardWish
from opx.phone.softphone import Account, Softphone
from support.console import quick_hasher
from support.live import live_site
from support.network import LoopbackNetwork
from support.web_services import ADMIN


async def with_access(web: WebService) -> GatewayClient:
    """A client of a new consumer that may do everything, by the whole exchange."""
    services, url = web.web_services, f"{web.settings.web_url}webservices"
    authority = web.certificate.authority_file
    await services.start(ADMIN)
    spec = ConsumerSpec("Suite", "suite", dict.fromkeys(RESOURCES, Permission.READ_WRITE))
    _, secret = await services.add_consumer(ADMIN, spec)
    pending = await request_access(url, "suite", secret, authority)
    (waiting,) = await services.temporary_tokens()
    verifier = (await services.approve(ADMIN, waiting.id)).verifier
    assert verifier is not None
    access = await retrieve_access(url, "suite", secret, pending, verifier, authority)
    return GatewayClient(url, access.secrets("suite", secret), authority)


async def started(stack: AsyncExitStack, account: Account, address: str, heard: list[str]) -> bool:
    """A phone that runs; whether it was let in."""
    phone = Softphone(account, address, on_event=heard.append)
    await phone.start()
    stack.push_async_callback(phone.stop)
    phone.register()
    async with asyncio.timeout(20):
        await phone.tried.wait()
    return phone.registered.is_set()


async def test_what_a_consumer_writes_reaches_phones_at_once(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(live_site(loopback, tmp_path))
        (tmp_path / "gateway.toml").write_text(site.gateway_text())
        web = WebService(SettingsFile.read(tmp_path / "gateway.toml"), quick_hasher())
        await web.start()
        stack.push_async_callback(web.stop)
        client = await stack.enter_async_context(await with_access(web))

        server = await client.server()
        (icp,) = [found async for found in client.icps(host=site.pbx_address)]
        wish = DeviceWish(
            set_username="made-up-7",
            set_password=SecretStr("Remote-9-secret"),
            icp_id=icp.id,
            icp_username="1101",
            icp_password=SecretStr("icp-1101-Secret"),
        )
        device = await client.create_device(wish)
        heard: list[str] = []
        account = Account("made-up-7", "Remote-9-secret", site.outside)
        let_in = await started(stack, account, loopback.at("30.7"), heard)
        (seen,) = await client.registrations(device.id)
        told = await client.notify(device.id, "check-sync")
        changed = await client.change_device(
            device.id, device.version, wish.model_copy(update={"set_password": SecretStr("Other-9-secret")})
        )
        gone = await client.registrations(device.id)
        kept_out = not await started(stack, account, loopback.at("30.8"), [])
        untold = await client.notify(device.id, "reboot")
        rule = await client.create_forward(ForwardWish(protocol="TCP", ports="8185", host=loopback.at("20.10")))

    assert (server.inside_address, server.outside_address) == (site.inside, site.outside)
    assert let_in and (seen.host, seen.at_icp, seen.reachable) == (loopback.at("30.7"), True, True)
    assert told == 200 and "was notified: check-sync" in heard
    assert (device.revision, changed.revision) == (1, 2)
    assert (gone, kept_out, untold) == ([], True, 480)
    assert rule.in_force and rule.trouble == ""


async def test_tokens_outlive_a_restart_and_the_gateways_authority_is_what_is_trusted(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    text = f"""
database = "{tmp_path}/gateway.db"
key_file = "{tmp_path}/gateway.key"
control_socket = "{tmp_path}/gateway.sock"
[set_side]
address = "{loopback.at("10.1")}"
[icp_side]
address = "{loopback.at("20.1")}"
"""
    (tmp_path / "gateway.toml").write_text(text)
    file = SettingsFile.read(tmp_path / "gateway.toml")
    web = WebService(file, quick_hasher())
    await web.start()
    client = await with_access(web)
    try:
        before = await client.token()
        await web.stop()
        web = WebService(file, quick_hasher())
        await web.start()
        assert await client.token() == before
        async with GatewayClient(f"{web.settings.web_url}webservices", client._secrets, None) as careless:
            with pytest.raises(NotTrusted):
                await careless.server()
    finally:
        await client.close()
        await web.stop()
