"""Wires the node, starts and stops it."""

import logging
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from opx.pbx.api import System, build_api
from opx.pbx.node import PbxNode
from opx.pbx.repository import ExtensionRepository
from opx.pbx.settings import PbxSettings
from opx.pbx.test_numbers import TestNumber
from opx.sip.digest import Algorithm, DigestVerifier
from opx.sip.nonces import NonceIssuer
from opx.sip.transport import SipStack, WheelClock
from opx.store.engine import open_engine
from opx.store.secrets import Sealer, load_key
from opx.web.certificates import ensure_certificate
from opx.web.server import HttpsServer

log = logging.getLogger(__name__)


class PbxService:
    """One node in this process. `start`, then `stop`."""

    def __init__(self, settings: PbxSettings, on_event: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self._on_event = on_event or log.info

    async def start(self) -> None:
        """SecretsError, DatabaseTooNew or OSError, each saying what is wrong."""
        settings = self.settings
        key = load_key(settings.key_file, create=not settings.database.exists())
        self.repository = ExtensionRepository(open_engine(settings.database_url), Sealer(key))
        await self.repository.open()
        for wanted in settings.extension:
            await self.repository.ensure(wanted.number, wanted.name, wanted.type, wanted.password)
        self.clock = WheelClock()
        self.stack = SipStack(self.clock, (settings.address, settings.port), transports=settings.transports)
        self.node = PbxNode(
            wheel=self.clock.wheel,
            flows=self.stack,
            verifier=DigestVerifier(
                settings.realm,
                NonceIssuer(os.urandom(32)),
                [Algorithm(name) for name in settings.digest_algorithms],
            ),
            extensions={record.number: record for record in await self.repository.all()},
            tests={
                settings.echo: lambda: TestNumber(settings.address, settings.rtp_ports, echo=True),
                settings.milliwatt: lambda: TestNumber(settings.address, settings.rtp_ports, echo=False),
            },
            min_expires=settings.min_expires,
            max_expires=settings.max_expires,
            ring_time=settings.ring_time,
            calls_per_extension=settings.calls_per_extension,
            on_event=self._on_event,
        )
        self.stack.attach(self.node.agent)
        await self.stack.start()
        self.clock.start()
        files = ensure_certificate(settings.certificates, [settings.address], "OPX PBX node CA")
        system = System(name=settings.name, version=settings.version, ct_gateway_version=settings.ct_gateway_version)
        app = build_api(self.node, self.repository, load_token(settings.token_file), system)
        self.server = HttpsServer(app, settings.address, settings.api_port, files.certificate, files.key)
        await self.server.start()
        log.info("pbx: %s, management API on port %d", self.stack.address, settings.api_port)

    async def stop(self) -> None:
        await self.server.stop()
        self.node.stop()
        await self.stack.stop()
        self.clock.stop()
        await self.repository.close()


def load_token(path: Path) -> str:
    """The token in `path`, made when the file is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8").strip()
