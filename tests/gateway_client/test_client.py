"""The typed client against real web services over HTTPS: the exchange, every resource, an error for each refusal."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr

from opx.gateway.webservices.ports import OriginState
from opx.gateway.webservices.settings import WebServicesSettings
from opx.gateway_client import errors
from opx.gateway_client.access import Access, request_access, retrieve_access
from opx.gateway_client.client import GatewayClient
from opx.gateway_client.errors import GatewayError
from opx.gateway_client.models import Create, Delete, DeviceWish, ForwardWish, IcpWish, Node, Update
from opx.gateway_client.wire import Method, Secrets
from support.web_services import ADMIN, ALL, GUIDE, WebSite, web_site

PASSWORD = SecretStr("Set-Side-7secret")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[WebSite]:
    with web_site(tmp_path) as running:
        yield running


async def exchanged(site: WebSite, method: Method = "HMAC-SHA256") -> tuple[Secrets, Access]:
    """The exchange with our own client, for the consumer that may do everything."""
    _, secret = site.consumer(ALL)
    authority = Path(site.authority)
    pending = await request_access(site.url, "all", secret, authority, method)
    access = await retrieve_access(site.url, "all", secret, pending, f" {site.approve()}\n", authority, method)
    return access.secrets("all", secret), access


@pytest.fixture
async def client(site: WebSite) -> AsyncIterator[GatewayClient]:
    secrets, _ = await exchanged(site)
    async with GatewayClient(site.url, secrets, Path(site.authority)) as opened:
        yield opened


def wish(icp: int, **change: object) -> DeviceWish:
    values = {"set_username": "tw1", "icp_id": icp, "set_password": PASSWORD, "icp_username": "1001", **change}
    return DeviceWish.model_validate(values)


@pytest.mark.parametrize("method", ["HMAC-SHA256", "HMAC-SHA1"])
async def test_the_exchange_ends_with_a_token_that_works(site: WebSite, method: Method) -> None:
    secrets, access = await exchanged(site, method)
    async with GatewayClient(site.url, secrets, Path(site.authority), method) as client:
        server, token = await client.server(), await client.token()
    assert (server.mode, server.inside_address, server.outside_address) == ("gateway", "10.0.0.1", "203.0.113.10")
    assert server.compatibility_level >= 10
    assert token.expires_at == pytest.approx(access.expires_at, abs=1)
    assert secrets.token_secret not in repr(secrets) + repr(access)


async def test_every_wrong_turn_of_the_exchange_has_an_error_of_its_own(site: WebSite) -> None:
    consumer, secret = site.consumer(GUIDE)
    authority = Path(site.authority)
    with pytest.raises(errors.NotAuthorised):
        await request_access(site.url, "MiVOAppSuite", "wrong", authority)
    pending = await request_access(site.url, "MiVOAppSuite", secret, authority)
    with pytest.raises(errors.NotApproved):
        await retrieve_access(site.url, "MiVOAppSuite", secret, pending, "X" * 16, authority)
    verifier = site.approve()
    with pytest.raises(errors.VerifierWrong) as wrong:
        await retrieve_access(site.url, "MiVOAppSuite", secret, pending, "X" * 16, authority)
    assert wrong.value.field == "oauth_verifier"
    with pytest.raises(errors.NotAuthorised):
        await retrieve_access(site.url, "MiVOAppSuite", secret, replace(pending, secret="x"), verifier, authority)
    access = await retrieve_access(site.url, "MiVOAppSuite", secret, pending, verifier, authority)
    with pytest.raises(errors.TokenEnded, match="has been used"):
        await retrieve_access(site.url, "MiVOAppSuite", secret, pending, verifier, authority)
    async with GatewayClient(site.url, access.secrets("MiVOAppSuite", secret), authority) as client:
        with pytest.raises(errors.PermissionMissing):
            await client.create_icp(IcpWish(name="Node 1", host="10.0.0.20"))
        site.clock.shift = 1000
        with pytest.raises(errors.ClockSkew) as skew:
            await client.server()
        assert skew.value.server_time == pytest.approx(site.clock(), abs=30)
        site.clock.shift = 0
        site.do(site.service.change_consumer(ADMIN, consumer.id, replace(GUIDE, active=False), consumer.version))
        with pytest.raises(errors.ConsumerInactive):
            await client.server()
        site.do(site.service.change_consumer(ADMIN, consumer.id, GUIDE, consumer.version + 1))
        await client.drop_token()
        with pytest.raises(errors.TokenEnded, match="revoked"):
            await client.server()
        site.do(site.service.stop(ADMIN))
        with pytest.raises(errors.Stopped):
            await client.server()


async def test_devices_and_icps_are_typed(site: WebSite, client: GatewayClient) -> None:
    node = Node(host="10.0.0.21", transport="TCP")
    icp = await client.create_icp(IcpWish(name="Node 1", host="10.0.0.20", nodes=(node,)))
    assert [found async for found in client.icps(host="10.0.0.21")] == [icp] == [await client.icp(icp.id)]
    assert icp.hosts == {"10.0.0.20", "10.0.0.21"}
    renamed = await client.change_icp(icp.id, icp.version, IcpWish(name="Node 2", host="10.0.0.20"))
    device = await client.create_device(wish(icp.id))
    assert await client.create_device(wish(icp.id)) == device == await client.device(device.id)
    assert (device.icp, device.revision, device.version) == ("Node 2", 1, 1)
    with pytest.raises(errors.Exists) as exists:
        await client.create_device(wish(icp.id, description="other"))
    assert (exists.value.id, exists.value.version) == (device.id, 1)
    changed = await client.change_device(device.id, 1, wish(icp.id, set_password=None, description="other"))
    assert (changed.revision, changed.version) == (1, 2)
    with pytest.raises(errors.Outdated) as outdated:
        await client.change_device(device.id, 1, wish(icp.id))
    assert outdated.value.version == 2
    with pytest.raises(errors.InUse):
        await client.remove_icp(icp.id, renamed.version)
    await client.remove_device(device.id, 2)
    await client.remove_icp(icp.id, renamed.version)
    for gone in (client.device(device.id), client.icp(icp.id), client.remove_device(device.id, 2)):
        with pytest.raises(errors.NotFound):
            await gone
    assert site.do(site.repository.devices()) == []


async def test_what_cannot_be_has_an_error_that_says_where(site: WebSite, client: GatewayClient) -> None:
    icp = site.with_node()
    with pytest.raises(errors.WeakPassword) as weak:
        await client.create_device(wish(icp, set_password="1234"))
    assert weak.value.field == "set_password" and "1234" not in str(weak.value)
    with pytest.raises(errors.NotAllowed) as no_icp:
        await client.create_device(wish(99))
    assert no_icp.value.field == "icp_id"
    with pytest.raises(errors.NotAllowed) as bad:
        await client.create_device(wish(icp, set_username="a b"))
    assert bad.value.problem["mistakes"][0]["where"] == "body.set_username"
    await client.create_device(wish(icp))
    with pytest.raises(errors.Taken):
        await client.create_device(wish(icp, set_username="tw2"))


async def test_many_devices_go_in_one_request_and_come_in_pages(site: WebSite, client: GatewayClient) -> None:
    icp = site.with_node()
    entries = [Create(device=wish(icp, set_username=f"tw{n}", icp_username=f"{1000 + n}")) for n in range(230)]
    results = await client.change_devices(entries)
    assert {result.status for result in results} == {201}
    assert [device.set_username async for device in client.devices()] == [f"tw{n}" for n in range(230)]
    assert [device.set_username async for device in client.devices(text="tw22", enabled=True)] == [
        "tw22",
        *(f"tw{n}" for n in range(220, 230)),
    ]
    first, second, third = results[:3]
    assert first.id and second.id and third.id
    results = await client.change_devices(
        [
            Update(id=first.id, version=1, device=wish(icp, set_username="tw0", icp_username="1000", enabled=False)),
            Delete(id=second.id, version=1),
            Delete(id=third.id, version=7),
        ]
    )
    assert [(result.status, result.error) for result in results] == [(200, None), (204, None), (412, "version_other")]
    assert [device.set_username async for device in client.devices(enabled=False)] == ["tw0"]
    with pytest.raises(errors.NotAllowed):
        await client.change_devices([])


async def test_phones_are_told_and_seen(site: WebSite, client: GatewayClient) -> None:
    device = await client.create_device(wish(site.with_node()))
    assert await client.notify(device.id, "aastra-xml", "<AastraIPPhoneExecute/>") == 200
    assert site.control.notices == [(device.id, "aastra-xml", "<AastraIPPhoneExecute/>")]
    (phone,) = await client.registrations(device.id)
    assert (phone.host, phone.user_agent) == ("198.51.100.7", "Mitel 6930")
    site.control.running = False
    with pytest.raises(errors.Stopped):
        await client.notify(device.id, "check-sync")


async def test_port_forwarding_rules_and_origins_are_typed(site: WebSite, client: GatewayClient) -> None:
    rule = await client.create_forward(ForwardWish(protocol="TCP", ports="8186, 8187", host="10.0.0.10"))
    assert await client.forwards() == [rule] == [await client.forward(rule.id)]
    moved = ForwardWish(protocol="TCP", ports="8186", host="10.0.0.10", snat=False)
    changed = await client.change_forward(rule.id, rule.version, moved)
    assert changed.warnings and changed.version == 2
    with pytest.raises(errors.Outdated):
        await client.remove_forward(rule.id, rule.version)
    with pytest.raises(errors.NotAllowed):
        await client.create_forward(ForwardWish(protocol="UDP", ports="5060", host="10.0.0.10"))
    await client.remove_forward(rule.id, 2)
    site.forwards.origins["TCP", "10.0.0.1", 40123] = OriginState("198.51.100.7", 51000, 8202, 1)
    origin = await client.origin(("10.0.0.1", 40123), ("10.0.0.10", 8202))
    assert origin is not None and (origin.address, origin.port) == ("198.51.100.7", 51000)
    assert await client.origin(("10.0.0.1", 1)) is None
    many = [(("10.0.0.1", port), ("10.0.0.10", 8202)) for port in (1, 40123)]
    assert await client.origins(many) == [None, origin]
    site.forwards.running = False
    with pytest.raises(errors.Stopped):
        await client.origins(many)
    with pytest.raises(errors.Stopped):
        await client.origin(("10.0.0.1", 40123))


async def test_a_token_is_renewed(site: WebSite, client: GatewayClient) -> None:
    before = await client.token()
    site.clock.shift = 250
    assert (await client.renew_token()).expires_at == pytest.approx(before.expires_at + 250, abs=60)


# --- who answers


async def test_only_a_gateway_of_the_given_authority_is_spoken_to(site: WebSite, tmp_path: Path) -> None:
    secrets = Secrets("all", "x", "y", "z")
    for authority in (None, _other_authority(tmp_path)):
        async with GatewayClient(site.url, secrets, authority) as client:
            with pytest.raises(errors.NotTrusted):
                await client.server()
    for file in (tmp_path / "none.pem", _text_file(tmp_path)):
        with pytest.raises(errors.NotTrusted):
            GatewayClient(site.url, secrets, file)
    with pytest.raises(ValueError, match="https://"):
        GatewayClient(site.url.replace("https", "http"), secrets, None)


async def test_an_absent_gateway_and_a_wrong_address_are_told_apart(site: WebSite) -> None:
    authority = Path(site.authority)
    secrets = Secrets("all", "x", "y", "z")
    async with GatewayClient("https://127.0.0.1:1/webservices", secrets, authority) as client:
        with pytest.raises(errors.Unreachable):
            await client.server()
    async with GatewayClient(site.url.removesuffix("/webservices"), secrets, authority) as client:
        with pytest.raises(errors.NotUnderstood):
            await client.server()


async def test_a_client_that_is_refused_too_often_is_told_to_be_slower(tmp_path: Path) -> None:
    with web_site(tmp_path, settings=WebServicesSettings(failures_per_source=2)) as site:
        async with GatewayClient(site.url, Secrets("all", "x", "y", "z"), Path(site.authority)) as client:
            for _ in range(2):
                with pytest.raises(errors.NotAuthorised):
                    await client.server()
            with pytest.raises(errors.Slower) as slower:
                await client.server()
    assert 0 < slower.value.retry_after <= 61


def test_every_word_of_the_gateways_refusals_has_its_error() -> None:
    """Also those that another test cannot bring about; an unknown word of a later gateway is still an error."""
    source = Path(__file__).parents[2] / "src" / "opx" / "gateway" / "webservices"
    text = "".join(path.read_text() for path in source.glob("*.py"))
    assert {word for word in errors.BY_CODE if f'"{word}"' not in text} == set()
    error = errors.denied(418, {"error": "teapot", "message": "short and stout"})
    assert type(error) is errors.Denied and (error.code, error.status, str(error)) == ("teapot", 418, "short and stout")
    assert all(issubclass(kind, GatewayError) for kind in errors.BY_CODE.values())


def test_passwords_show_in_no_text_of_a_wish() -> None:
    device = wish(1, icp_password="Pbx-Side-8secret")
    assert "secret" not in repr(device) + str(device) + device.model_dump_json()
    assert json.dumps(device.body()).count("secret") == 2


def _text_file(folder: Path) -> Path:
    path = folder / "text.pem"
    path.write_text("no certificate")
    return path


def _other_authority(folder: Path) -> Path:
    path = folder / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path
