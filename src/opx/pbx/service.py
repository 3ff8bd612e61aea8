"""Wires the node, starts and stops it."""

import logging
import os
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from opx.pbx.api import System, build_api
from opx.pbx.features.states import FeatureState
from opx.pbx.keeper import StateKeeper
from opx.pbx.media import LocalMedia
from opx.pbx.node import PbxNode
from opx.pbx.pins import PinChecks, hash_pin, verify_pin
from opx.pbx.repository import ExtensionRepository
from opx.pbx.settings import PbxSettings
from opx.rtp.tones import MILLIWATT, Tone
from opx.sip.digest import Algorithm, DigestVerifier
from opx.sip.nonces import NonceIssuer
from opx.sip.transport import SipStack, WheelClock
from opx.store.engine import open_engine
from opx.store.secrets import Sealer, load_key
from opx.web.served import ServerCertificate
from opx.web.server import HttpsServer

log = logging.getLogger(__name__)


class PbxService:
    """One node in this process. `start`, then `stop`."""

    def __init__(self, settings: PbxSettings, on_event: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self._on_event = on_event or log.info
        self._running = AsyncExitStack()

    async def start(self) -> None:
        """SecretsError, DatabaseTooNew or OSError, each saying what is wrong."""
        settings = self.settings
        key = load_key(settings.key_file, create=not settings.database.exists())
        async with AsyncExitStack() as stack:
            await self._start(stack, key)
            self._running = stack.pop_all()
        log.info("pbx: %s, management API on port %d", self.stack.address, settings.api_port)

    async def _start(self, stack: AsyncExitStack, key: bytes) -> None:
        """Part by part; `stack` stops those that run, the last first."""
        settings = self.settings
        self.repository = ExtensionRepository(open_engine(settings.database_url), Sealer(key))
        stack.push_async_callback(self.repository.close)
        await self.repository.open()
        await self._make_extensions()
        self.keeper = StateKeeper(self.repository.save_features)
        stack.push_async_callback(self.keeper.stop)
        self.clock = WheelClock()
        stack.callback(self.clock.stop)
        self.stack = SipStack(self.clock, (settings.address, settings.port), transports=settings.transports)
        self.pin_checks = PinChecks()
        stack.push_async_callback(self.pin_checks.stop)
        self.node = await self._node()
        self.node.states.watch(self.keeper.keep)
        self.keeper.start()
        self.stack.attach(self.node.agent)
        await self.stack.start()
        stack.push_async_callback(self.stack.stop)
        self.clock.start()
        stack.callback(self.node.stop)
        certificate = ServerCertificate(settings.certificates, [settings.address], "OPX PBX node CA")
        system = System(
            name=settings.name,
            address=settings.address,
            sip_port=settings.port,
            version=settings.version,
            ct_gateway_version=settings.ct_gateway_version,
        )
        app = build_api(self.node, self.repository, load_token(settings.token_file), system)
        self.server = HttpsServer(app, settings.address, settings.api_port, certificate)
        await self.server.start()
        stack.push_async_callback(self.server.stop)

    async def stop(self) -> None:
        """Hang up all calls and close."""
        await self._running.aclose()

    async def _make_extensions(self) -> None:
        """Those of the settings, with what the settings say of their features."""
        states = await self.repository.features()
        for wanted in self.settings.extension:
            await self.repository.ensure(wanted.number, wanted.name, wanted.type, wanted.password)
            before = states.get(wanted.number, FeatureState())
            after = replace(before, pickup_group=wanted.pickup_group or before.pickup_group)
            if wanted.pin and not verify_pin(before.pin, wanted.pin):
                after = replace(after, pin=hash_pin(wanted.pin))
            if after != before:
                await self.repository.save_features({wanted.number: after})

    async def _node(self) -> PbxNode:
        settings = self.settings
        algorithms = [Algorithm(name) for name in settings.digest_algorithms]

        def media(tone: Tone | None, echo: bool = False) -> LocalMedia:
            return LocalMedia(settings.address, settings.rtp_ports, tone=tone, echo=echo)

        return PbxNode(
            wheel=self.clock.wheel,
            flows=self.stack,
            verifier=DigestVerifier(settings.realm, NonceIssuer(os.urandom(32)), algorithms),
            extensions={record.number: record for record in await self.repository.all()},
            tests={settings.echo: lambda: media(None, echo=True), settings.milliwatt: lambda: media(MILLIWATT)},
            prompts=lambda: media(None),
            check_pin=self.pin_checks.check,
            states=await self.repository.features(),
            options=settings.node_options(),
            on_event=self._on_event,
        )


def load_token(path: Path) -> str:
    """The token in `path`, made when the file is missing."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text(encoding="utf-8").strip()
