"""The suite's way to the gateway, tried on the gateway's real web services over HTTPS."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opx.gateway.webservices.records import ConsumerSpec, Permission
from opx.gateway_client import errors
from opx.gateway_client.models import Server
from opx.suite.gateway_link.exchange import TokenExchange
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.gateway_link.troubles import LinkError, Reason, check_server
from opx.suite.sites.records import GatewaySpec
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import SITES
from support.suite_gateway import Board, with_token
from support.suite_store import open_suite
from support.web_services import ADMIN, GUIDE, WebSite, web_site

SERVER = Server(
    product="OPX",
    version="1",
    compatibility_level=11,
    mode="gateway",
    inside_address="10.0.0.1",
    outside_address="203.0.113.1",
    sip_port=5060,
    time=0,
)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebSite]:
    (tmp_path / "gateway").mkdir()
    with web_site(tmp_path / "gateway") as running:
        yield running


@pytest.fixture
async def sites(tmp_path: Path) -> AsyncIterator[SiteRepository]:
    async with open_suite(tmp_path) as opened:
        yield opened


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
async def link(sites: SiteRepository, board: Board) -> AsyncIterator[GatewayLink]:
    now = iter(range(0, 10**6, 10))
    opened = GatewayLink(sites, board, monotonic=lambda: float(next(now)))
    yield opened
    await opened.close()


async def reason(link: GatewayLink) -> Reason:
    with pytest.raises(LinkError) as refused:
        await link.look()
    return refused.value.reason


async def test_the_exchange_of_the_guide_ends_with_a_link_of_one_client(
    web: WebSite, sites: SiteRepository, board: Board, link: GatewayLink
) -> None:
    assert await reason(link) is Reason.OFF
    await with_token(sites, board, web)
    assert (await link.look()).mode == "gateway"
    clients = set()

    async def note(client: object) -> None:
        clients.add(client)

    await link.ask(note)
    board.publish(SITES)
    await link.ask(note)
    assert len(clients) == 1
    await sites.gateway.forget_token()
    board.publish(SITES)
    assert await reason(link) is Reason.NO_TOKEN
    await with_token(sites, board, web, fresh=False)
    await link.ask(note)
    assert len(clients) == 2


async def test_another_certificate_stops_everything_until_it_is_trusted(
    web: WebSite, sites: SiteRepository, board: Board, link: GatewayLink
) -> None:
    await with_token(sites, board, web)
    met = (await sites.gateway.read()).fingerprint
    await sites.gateway.pin("ab" * 32)
    board.publish(SITES)
    assert await reason(link) is Reason.CERTIFICATE_CHANGED
    assert (await sites.gateway.read()).offered_fingerprint == met
    assert board.published[-1] == (SITES, ())
    with pytest.raises(LinkError, match="another certificate"):
        await TokenExchange(sites, board).request()
    await TokenExchange(sites, board).trust(met)
    assert (await link.look()).mode == "gateway"


async def test_each_thing_in_the_way_has_a_reason_and_words_of_its_own(
    web: WebSite, sites: SiteRepository, board: Board, link: GatewayLink
) -> None:
    await with_token(sites, board, web)
    (consumer,) = web.do(web.service.consumers())
    (token,) = web.do(web.service.final_tokens())

    def reconsider(spec: ConsumerSpec) -> None:
        version = web.do(web.service.consumers())[0].version
        web.do(web.service.change_consumer(ADMIN, consumer.id, spec, version))

    reconsider(replace(GUIDE, active=False))
    assert await reason(link) is Reason.CONSUMER_INACTIVE
    reconsider(replace(GUIDE, permissions={**GUIDE.permissions, "MBG/v1/icps": Permission.NONE}))
    with pytest.raises(LinkError, match="MBG/v1/icps") as refused:
        await link.ask(lambda client: client.icp(1))
    assert refused.value.reason is Reason.NOT_PERMITTED
    reconsider(GUIDE)
    with pytest.raises(errors.NotFound):
        await link.ask(lambda client: client.icp(1))
    web.clock.shift = 1000
    with pytest.raises(LinkError, match=r"1000 s behind the gateway's|999 s behind|1001 s behind") as refused:
        await link.look()
    assert refused.value.reason is Reason.CLOCK_SKEW
    web.clock.shift = 0
    web.do(web.service.stop(ADMIN))
    assert await reason(link) is Reason.STOPPED
    web.do(web.service.start(ADMIN))
    web.do(web.service.revoke(ADMIN, token.id))
    with pytest.raises(LinkError, match="press Request Access Token") as refused:
        await link.look()
    assert refused.value.reason is Reason.TOKEN_ENDED
    await sites.gateway.save_token("unknown", "secret", 2e9)
    board.publish(SITES)
    assert await reason(link) is Reason.NOT_ACCEPTED
    await sites.gateway.save(GatewaySpec("127.0.0.1", 9, rest_api=True))
    board.publish(SITES)
    assert await reason(link) is Reason.NOT_PINNED
    with pytest.raises(LinkError) as refused:
        await TokenExchange(sites, board).fingerprint()
    assert refused.value.reason is Reason.UNREACHABLE
    await sites.gateway.pin("ab" * 32)
    await sites.gateway.save_token("token", "secret", 2e9)
    board.publish(SITES)
    assert await reason(link) is Reason.UNREACHABLE


async def test_a_gateway_that_is_away_is_not_called_again_by_everybody_at_once(
    sites: SiteRepository, board: Board
) -> None:
    now = [0.0]
    link = GatewayLink(sites, board, monotonic=lambda: now[0])
    assert await reason(link) is Reason.OFF
    # Nobody has said that it changed.
    await sites.gateway.save(GatewaySpec("127.0.0.1", 9, rest_api=True))
    assert await reason(link) is Reason.OFF
    now[0] = 3.0
    assert await reason(link) is Reason.NOT_PINNED


def test_a_gateway_of_another_version_or_mode_is_not_worked_with() -> None:
    check_server(SERVER)
    with pytest.raises(LinkError, match="level 9"):
        check_server(SERVER.model_copy(update={"compatibility_level": 9}))
    with pytest.raises(LinkError, match="Gateway mode"):
        check_server(SERVER.model_copy(update={"mode": "standalone"}))
