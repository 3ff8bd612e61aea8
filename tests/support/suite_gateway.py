"""A suite beside a gateway's real web services: the bulletin in memory, and what an administrator does once."""

from collections import defaultdict
from collections.abc import Sequence

from opx.gateway.webservices.records import ConsumerSpec
from opx.kept.bulletin import Bulletin, Handler
from opx.suite.gateway_link.exchange import TokenExchange
from opx.suite.sites.records import GatewaySpec
from opx.suite.sites.repository import SiteRepository
from support.web_services import ADDRESS, GUIDE, WebSite


class Board:
    """A bulletin of one process: whoever subscribed hears of it, and a test sees what was published."""

    def __init__(self) -> None:
        self._handlers: defaultdict[str, list[Handler]] = defaultdict(list)
        self.published: list[tuple[str, tuple[str, ...]]] = []

    def subscribe(self, topic: str, handler: Handler) -> None:
        self._handlers[topic].append(handler)

    def publish(self, topic: str, keys: Sequence[str] = ()) -> None:
        self.published.append((topic, tuple(keys)))
        for handler in self._handlers[topic]:
            handler(tuple(keys))


async def with_token(
    sites: SiteRepository, board: Bulletin, web: WebSite, spec: ConsumerSpec = GUIDE, *, fresh: bool = True
) -> None:
    """Guide stage 4: a consumer, the trusted certificate and a final token. Not `fresh`: the consumer is there."""
    await sites.gateway.save(GatewaySpec(ADDRESS, web.server.port, rest_api=True))
    exchange = TokenExchange(sites, board)
    if fresh:
        _, secret = web.consumer(spec)
        await sites.gateway.save_consumer(spec.name, spec.consumer_id, secret)
    await exchange.trust(await exchange.fingerprint())
    await exchange.request()
    await exchange.retrieve(web.approve())
