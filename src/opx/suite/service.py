"""Wires the suite, starts and stops it."""

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

from opx.suite.settings import SuiteSettings
from opx.web.served import ServerCertificate
from opx.web.server import HttpsServer

NOTICE = "OPX application suite: nothing is served here yet.\n"


class SuiteService:
    """The suite in this process. `start`, then `stop`."""

    def __init__(self, settings: SuiteSettings) -> None:
        self.settings = settings

    async def start(self) -> None:
        """OSError when the address is taken."""
        settings = self.settings
        certificate = ServerCertificate(settings.certificates, [settings.address], "OPX suite CA")
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

        @app.get("/", response_class=PlainTextResponse)
        async def notice() -> str:
            return NOTICE

        self.server = HttpsServer(app, settings.address, settings.console_port, certificate)
        await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()
