"""Phone Systems > MiVoice Border Gateway, against the gateway's real web services over HTTPS."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from opx.gateway.webservices.records import Permission
from opx.suite.console.service import ConsoleService
from opx.suite.sites.records import GatewaySpec
from opx.web.accounts import Role
from support.console import Visitor, signed_in
from support.suite_console import open_suite_console
from support.web_services import ADDRESS, ADMIN, GUIDE, WebSite, narrowed, web_site

PAGE = "/border-gateway"
OTHER = "ab" * 32


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebSite]:
    (tmp_path / "gateway").mkdir()
    with web_site(tmp_path / "gateway") as running:
        yield running


async def at_gateway(visitor: Visitor, web: WebSite) -> None:
    """Stage 1's address, the box of stage 4, and the certificate compared."""
    await visitor.get(PAGE)
    await visitor.send(PAGE, address=ADDRESS, port=str(web.server.port), rest_api="yes")
    await visitor.get(f"{PAGE}/certificate")
    await visitor.send(f"{PAGE}/certificate")


async def with_request(visitor: Visitor, web: WebSite) -> None:
    await at_gateway(visitor, web)
    _, secret = web.consumer()
    await visitor.get(f"{PAGE}/token")
    await visitor.send(f"{PAGE}/token", name=GUIDE.name, consumer_id=GUIDE.consumer_id, shared_secret=secret)


async def with_token(visitor: Visitor, web: WebSite) -> None:
    await with_request(visitor, web)
    await visitor.send(f"{PAGE}/token/verifier", verifier=f" {web.approve()} ")


async def test_the_page_is_where_the_guide_has_it(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get(PAGE)
        assert "Configuration Site Settings Users Phone Systems MiVoice Border Gateway" in visitor.text
        assert f'<a href="{PAGE}" aria-current="page">MiVoice Border Gateway</a>' in visitor.html


async def test_stage_4_from_the_address_to_the_final_token(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await with_request(visitor, web)
        assert "The credentials are right and a token is requested." in visitor.text
        assert visitor.page.url.path == f"{PAGE}/token"

        await visitor.send(f"{PAGE}/token/verifier", verifier="")
        assert "expected the Verifier" in visitor.text
        await visitor.send(f"{PAGE}/token/verifier", verifier="guess")
        assert visitor.page.status_code == 422 and "approve" in visitor.text.lower()
        await visitor.send(f"{PAGE}/token/verifier", verifier=web.approve())
        assert "The final access token is stored." in visitor.text
        assert "holds, 36" in visitor.text

        await visitor.send(f"{PAGE}/test")
        assert "The gateway answers: OPX" in visitor.text and "in gateway mode" in visitor.text
        await visitor.send(f"{PAGE}/token/renew")
        assert "The access token is renewed." in visitor.text

        await visitor.get(f"{PAGE}/token/forget")
        await visitor.send(f"{PAGE}/token/forget")
        assert "forgotten, and void at the gateway" in visitor.text
        assert not (await suite.sites.gateway.read()).has_token
        assert [token.revoked for token in web.do(web.service.final_tokens())] == [True]
        await visitor.get("/audit-log")
        for action in ("changed the gateway", "trusted the gateway's certificate", "retrieved an access token"):
            assert action in visitor.text


async def test_a_request_waits_for_what_comes_first(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        _, secret = web.consumer()

        async def ask() -> str:
            await visitor.get(f"{PAGE}/token")
            await visitor.send(f"{PAGE}/token", name="x", consumer_id=GUIDE.consumer_id, shared_secret=secret)
            return visitor.text

        assert "Enable Rest API is not checked" in await ask()
        await suite.sites.gateway.save(GatewaySpec(ADDRESS, web.server.port, rest_api=True))
        assert "certificate is not trusted yet" in await ask()
        assert f'href="{PAGE}/certificate"' in visitor.html


async def test_a_wrong_secret_is_told_so_and_never_shown_again(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await at_gateway(visitor, web)
        web.consumer()
        await visitor.get(f"{PAGE}/token")
        await visitor.send(f"{PAGE}/token", name="x", consumer_id=GUIDE.consumer_id, shared_secret="wrong-secret")
        assert visitor.page.status_code == 422
        assert "does not accept Consumer ID or Shared Secret" in visitor.text
        assert "wrong-secret" not in visitor.html
        await visitor.get(PAGE)
        assert "no access token was requested: the gateway does not accept" in visitor.text


async def test_a_request_that_is_not_approved_may_be_tried_again(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await with_request(visitor, web)
        await visitor.send(f"{PAGE}/token/verifier", verifier="12345678")
        assert visitor.page.status_code == 422
        web.approve()
        await visitor.send(f"{PAGE}/token/verifier", verifier="12345678")
        assert visitor.page.status_code == 422 and "verifier" in visitor.text.lower()
        assert (await suite.sites.gateway.read()).pending


async def test_clocks_that_differ_too_much_are_named(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await at_gateway(visitor, web)
        _, secret = web.consumer()
        web.clock.shift = 3600.0
        await visitor.get(f"{PAGE}/token")
        await visitor.send(f"{PAGE}/token", name="x", consumer_id=GUIDE.consumer_id, shared_secret=secret)
        assert visitor.page.status_code == 422 and "clock" in visitor.text


async def test_a_gateway_that_is_not_there_is_told_with_its_address(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get(PAGE)
        await visitor.send(PAGE, address=ADDRESS, port="1", rest_api="yes")
        await visitor.get(f"{PAGE}/certificate")
        assert f"the gateway did not answer at {ADDRESS}, port 1" in visitor.text
        await visitor.get(PAGE)
        assert "there is none" in visitor.text


async def test_another_certificate_is_shown_beside_the_trusted_one(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await with_token(visitor, web)
        met = (await suite.sites.gateway.read()).fingerprint
        await suite.sites.gateway.pin(OTHER)
        suite.bulletin.publish("sites")

        await visitor.get(PAGE)
        await visitor.send(f"{PAGE}/test")
        assert "another certificate" in visitor.text
        assert (await suite.sites.gateway.read()).offered_fingerprint == met
        await visitor.get(f"{PAGE}/certificate")
        assert "Trusted so far AB:AB:AB" in visitor.text and "Trust the new certificate" in visitor.text
        await visitor.send(f"{PAGE}/certificate")
        assert "trusted from now on" in visitor.text
        await visitor.send(f"{PAGE}/test")
        assert "The gateway answers" in visitor.text


async def test_a_certificate_that_changes_while_it_is_looked_at_is_not_trusted(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get(PAGE)
        await visitor.send(PAGE, address=ADDRESS, port=str(web.server.port), rest_api="yes")
        await visitor.get(f"{PAGE}/certificate")
        await visitor.send(f"{PAGE}/certificate", fingerprint=OTHER)
        assert "yet another certificate" in visitor.text
        assert (await suite.sites.gateway.read()).fingerprint == ""


async def test_a_missing_permission_is_named(tmp_path: Path, web: WebSite) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await with_token(visitor, web)
        (consumer,) = web.do(web.service.consumers())
        spec = narrowed(GUIDE, **{"Base/managetoken": Permission.READ})
        web.do(web.service.change_consumer(ADMIN, consumer.id, spec, consumer.version))
        await visitor.send(f"{PAGE}/token/renew")
        assert "Base/managetoken" in visitor.text


MISTAKES = (
    ({"address": "gateway.example"}, "is no IPv4 address"),
    ({"address": "", "rest_api": "yes"}, "the Rest API needs the gateway's inside address"),
    ({"port": "0"}, "is no port"),
    ({"port": ""}, "usually 8443"),
)


async def test_mistakes_are_named_at_their_fields(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        for values, said in MISTAKES:
            await visitor.get(PAGE)
            await visitor.send(PAGE, **values)
            assert visitor.page.status_code == 422 and said in visitor.text, values


async def test_who_was_overtaken_sees_what_differs(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await visitor.get(PAGE)
        await suite.sites.gateway.save(GatewaySpec("192.168.20.9"))
        await visitor.send(PAGE, address="192.168.20.1")
        assert visitor.page.status_code == 409
        assert "192.168.20.9 192.168.20.1" in visitor.text
        await visitor.send(PAGE)
        assert (await suite.sites.gateway.read()).address == "192.168.20.1"


async def test_a_reader_sees_the_state_and_no_form_to_change_it(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite, "rea", Role.READ_ONLY)
        await visitor.get(PAGE)
        assert "Request Access Token" not in visitor.text and "Save" not in visitor.text


async def test_a_token_that_ends_soon_is_marked(tmp_path: Path) -> None:
    async with open_suite_console(tmp_path) as suite:
        visitor = await signed_in(suite)
        await _expiring(suite, 12.5)
        await visitor.get(PAGE)
        assert "expires soon, 12 days left" in visitor.text
        await _expiring(suite, -1)
        await visitor.get(PAGE)
        assert "has expired" in visitor.text


async def _expiring(suite: ConsoleService, days: float) -> None:
    await suite.sites.gateway.save(GatewaySpec("192.168.20.1", rest_api=True))
    await suite.sites.gateway.save_token("token", "secret", time.time() + days * 86400)
