"""Brings what the PBXs have into the site settings: again and again, and at once when somebody asks for it."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from opx.kept.bulletin import Bulletin
from opx.suite.backoff import BackOff
from opx.suite.connectors.connector import ConnectorError, PbxReading
from opx.suite.connectors.opening import open_connector, reads_by_itself
from opx.suite.connectors.settings import PbxReadingSettings
from opx.suite.sites.records import NodeRecord, NodeSpec, PbxRecord, PbxSpec, SiteError
from opx.suite.sites.repository import SiteRepository
from opx.suite.topics import EXTENSIONS, READ_PBX, SITES

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Turn:
    """When a PBX is read next. `shape` is what the reading depends on: another one is a reason to read at once."""

    shape: tuple[object, ...] = ()
    due: float = 0.0
    failures: int = 0


@dataclass(eq=False)
class PbxReader:
    """In the suite's main process: `start`, then `stop`. `clock` is the time of day; a test turns it and calls
    `read_due` itself."""

    sites: SiteRepository
    bulletin: Bulletin
    settings: PbxReadingSettings = field(default_factory=PbxReadingSettings)
    local_address: str = ""
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._turns: dict[int, _Turn] = {}
        self._asked: set[int] = set()
        self._all_asked = False
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._back_off = BackOff(self.settings.retry_min, self.settings.retry_max)
        self.bulletin.subscribe(SITES, lambda keys: self._wake.set())
        self.bulletin.subscribe(READ_PBX, self._on_asked)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def read_due(self) -> float:
        """Read the PBXs whose turn it is, one after the other; seconds until the next one's."""
        asked, self._asked = self._asked, set()
        every, self._all_asked = self._all_asked, False
        pbxs = {pbx.id: pbx for pbx in await self.sites.pbxs() if reads_by_itself(pbx)}
        nodes = await self.sites.nodes()
        self._turns = {key: self._turns.get(key, _Turn()) for key in pbxs}
        for key, pbx in pbxs.items():
            turn = self._turns[key]
            shape = _shape(pbx, nodes)
            if every or key in asked or turn.shape != shape or self.clock() >= turn.due:
                turn.shape = shape
                await self._take_turn(pbx, turn)
        now = self.clock()
        return max(0.0, min((turn.due - now for turn in self._turns.values()), default=self.settings.interval))

    async def read(self, pbx: PbxRecord) -> int:
        """Read one now; how many of its extensions differed. ConnectorError, and SiteError for what cannot be stored;
        both are written down as the PBX's."""
        try:
            connector = await open_connector(self.sites, pbx, self.local_address)
            try:
                reading = await connector.read()
            finally:
                await connector.close()
            changed = await self._take_over(pbx, reading)
        except (ConnectorError, SiteError) as error:
            if str(error)[:512] != pbx.read_error:
                with contextlib.suppress(SiteError):
                    await self.sites.note_read_failure(pbx.id, str(error))
                self.bulletin.publish(SITES)
            raise
        return changed

    # --- helpers

    async def _take_turn(self, pbx: PbxRecord, turn: _Turn) -> None:
        try:
            await self.read(pbx)
            turn.failures = 0
            turn.due = self.clock() + self.settings.interval
        except (ConnectorError, SiteError) as error:
            turn.failures += 1
            turn.due = self.clock() + self._back_off.seconds(turn.failures)
            log.warning("%s could not be read: %s", pbx.name, error)

    async def _take_over(self, pbx: PbxRecord, reading: PbxReading) -> int:
        """SiteError."""
        changed = await self.sites.take_over(pbx.id, reading.extensions, self.clock())
        told = bool(pbx.read_error) or pbx.read_at is None
        for node in await self.sites.nodes(pbx.id):
            software = reading.software.get(node.address, node.software)
            if software != node.software:
                await self.sites.save_node(_with_software(node, software), node.id)
                told = True
        if reading.ct_gateway and reading.ct_gateway != pbx.ct_gateway:
            spec = PbxSpec(pbx.name, pbx.connector, pbx.url, pbx.fingerprint, None, reading.ct_gateway)
            await self.sites.save_pbx(spec, pbx.id)
            told = True
        if told:
            self.bulletin.publish(SITES)
        if changed:
            self.bulletin.publish(EXTENSIONS)
        return changed

    def _on_asked(self, keys: tuple[str, ...]) -> None:
        numbers = {int(key) for key in keys if key.isdigit()}
        self._asked |= numbers
        self._all_asked = self._all_asked or not keys
        self._wake.set()

    async def _run(self) -> None:
        while True:
            try:
                wait = await self.read_due()
            except Exception:
                # A database that is away comes back; the task must still be there then.
                log.exception("the PBXs could not be read")
                wait = self.settings.retry_max
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            self._wake.clear()


def _shape(pbx: PbxRecord, nodes: list[NodeRecord]) -> tuple[object, ...]:
    own = sorted(node.address for node in nodes if node.pbx_id == pbx.id)
    return pbx.connector, pbx.url, pbx.fingerprint, pbx.has_token, *own


def _with_software(node: NodeRecord, software: str) -> NodeSpec:
    return NodeSpec(
        node.pbx_id,
        node.name,
        node.address,
        node.sip_port,
        node.nat_address,
        node.nat_sip_port,
        software[:32],
    )
