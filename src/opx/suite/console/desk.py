"""What the console's pages work with."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from opx.kept.bulletin import Bulletin
from opx.suite.connectors.reading import PbxReader
from opx.suite.console.lookout import GatewayWatch, Lookout
from opx.suite.console.pbx_menu import PbxMenu
from opx.suite.gateway_link.exchange import TokenExchange
from opx.suite.gateway_link.link import GatewayLink
from opx.suite.provisioning.repository import ProvisioningRepository
from opx.suite.settings import SuiteSettings
from opx.suite.sites.repository import SiteRepository
from opx.suite.timeline import Timeline
from opx.suite.users.repository import UserRepository
from opx.web.console import Console


@dataclass(frozen=True)
class Desk:
    """`bulletin` is where a page says what it has changed: see `opx.suite.topics`. `link` and `exchange` are the ways
    to the gateway, `reader` reads a PBX when somebody asks for it."""

    console: Console
    sites: SiteRepository
    timeline: Timeline
    bulletin: Bulletin
    link: GatewayLink
    exchange: TokenExchange
    menu: PbxMenu
    reader: PbxReader
    provisioning: ProvisioningRepository
    users: UserRepository
    watch: GatewayWatch
    lookout: Lookout
    settings: SuiteSettings

    async def saved(
        self, request: Request, topic: str, action: str, target: str, detail: str = "", keys: Sequence[object] = ()
    ) -> None:
        """After something was stored: note who did it, and tell the other processes (see `opx.suite.topics`)."""
        await self.console.note(request, action, target, detail)
        self.bulletin.publish(topic, [str(key) for key in keys])
