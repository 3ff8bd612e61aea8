"""What the console's pages work with."""

from dataclasses import dataclass

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncEngine

from opx.config import SettingsFile
from opx.gateway.console.traffic import Traffic
from opx.gateway.control.forwards import ForwardingControl
from opx.gateway.control.protocol import ControlError, NobodyThere
from opx.gateway.forwarding.repository import ForwardRepository
from opx.gateway.repository import Repository
from opx.gateway.settings import GatewaySettings
from opx.gateway.webservices.service import WebServices
from opx.web.console import Console


@dataclass(frozen=True)
class Desk:
    """`file` is the settings file as the gateway read it when it started; `settings` are what stood in it."""

    console: Console
    engine: AsyncEngine
    repository: Repository
    control: ForwardingControl
    forwards: ForwardRepository
    web_services: WebServices
    traffic: Traffic
    file: SettingsFile
    settings: GatewaySettings

    async def saved(self, request: Request, action: str, target: str, detail: str = "") -> None:
        """After something was stored that signalling works with: note it, and have it taken over."""
        await self.console.note(request, action, target, detail)
        try:
            await self.control.changed()
        except NobodyThere:
            text = "This is stored. No gateway is running here; it takes this over at its next start."
            self.console.shell.tell(request, text, kind="warn")
        except ControlError as error:
            text = f"This is stored, but the running gateway could not take it over: {error}"
            self.console.shell.tell(request, text, kind="bad")
