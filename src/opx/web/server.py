"""An HTTPS server inside a program's own event loop."""

import asyncio
from typing import Any

import uvicorn

from opx.web.served import ServerCertificate

STOP_SECONDS = 2
"""How long `stop` waits for requests under way, and for clients to close their idle connections."""


CLOSE_SECONDS = 0.3
"""How long clients have to close a connection that nothing is asked on."""


class HttpsServer:
    """Serves an ASGI application on one address, and takes over what changes in `certificate` while it runs.

    `start` returns when it listens.
    """

    def __init__(self, app: Any, host: str, port: int, certificate: ServerCertificate) -> None:
        self._certificate = certificate
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            ssl_context_factory=lambda config, default: certificate.open(),
            log_config=None,
            access_log=False,
            server_header=False,
            # No proxy stands before it: whoever claims to come from elsewhere does not.
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """OSError when the address is taken, CertificateError."""
        self._task = asyncio.create_task(self._server.serve())
        ready = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            ready.cancel()
            self._task.result()
            raise OSError("the web server did not start")
        self._watching = asyncio.create_task(self._certificate.watch())

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def port(self) -> int:
        port: int = self._server.servers[0].sockets[0].getsockname()[1]
        return port


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    def install_signal_handlers(self) -> None:
        """The program deals with signals itself."""

    async def shutdown(self, sockets: Any = None) -> None:
        cutting = asyncio.create_task(self._cut_idle())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_idle(self) -> None:
        """Clients that keep a connection for later may not look at it, and so never answer its end."""
        await asyncio.sleep(CLOSE_SECONDS)
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            raise OSError(f"{self.config.host}:{self.config.port} cannot be listened on") from None
        self.listening.set()
