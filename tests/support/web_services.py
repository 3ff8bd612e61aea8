"""A gateway's web services over real HTTPS, with a clock that a test turns, and what stands in for the other rooms."""

import asyncio
import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import requests
from requests_oauthlib import OAuth1Session as OAuth1Session  # type: ignore[import-untyped]
from requests_oauthlib.oauth1_session import TokenRequestDenied as TokenRequestDenied  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.routing import Mount

from opx.gateway.control.protocol import Control, NobodyThere, NotAllowed, NotAnswered, Registration, RegistrationPage
from opx.gateway.records import IcpSpec
from opx.gateway.webservices.api import PATH, WebServicesApp, app
from opx.gateway.webservices.ports import (
    ForwardOutdated,
    ForwardRefused,
    ForwardState,
    ForwardUnknown,
    ForwardWish,
    OriginState,
    OriginUnknown,
    ServerFacts,
)
from opx.gateway.webservices.records import (
    GUIDE_PERMISSIONS,
    RESOURCES,
    Actor,
    ConsumerRecord,
    ConsumerSpec,
    Permission,
)
from opx.gateway.webservices.repository import WebServicesRepository
from opx.gateway.webservices.service import WebServices
from opx.gateway.webservices.settings import WebServicesSettings
from opx.web.served import ServerCertificate
from opx.web.server import HttpsServer
from support.gateway_store import REALM, opened, repository_in
from support.postgres import DATABASES

ADMIN = Actor("admin", "10.0.0.9")
GUIDE = ConsumerSpec("MiVoice Office Application Suite", "MiVOAppSuite", GUIDE_PERMISSIONS)
"""The guide's consumer with the guide's permissions."""
ALL = ConsumerSpec("All", "all", dict.fromkeys(RESOURCES, Permission.READ_WRITE))
SERVER = ServerFacts("10.0.0.1", "203.0.113.10", 5060, "1.2.3")
ADDRESS = "127.0.0.1"

DEVICE = {"set_username": "tw1", "set_password": "Set-Side-7secret", "icp_username": "1001", "description": "At home"}
"""A device as a consumer asks for it, its ICP left out."""

T = TypeVar("T")


class Clock:
    """The time of day, shifted as a test likes."""

    def __init__(self) -> None:
        self.shift = 0.0

    def __call__(self) -> float:
        return time.time() + self.shift


class FakeControl:
    """Signalling as it may be: running or not, with a phone that answers."""

    def __init__(self) -> None:
        self.running = True
        self.taking = True
        self.changes = 0
        self.notices: list[tuple[int, str, str]] = []
        self.answer = 200

    async def changed(self) -> None:
        if not self.running:
            raise NobodyThere("no gateway listens")
        if not self.taking:
            raise NotAnswered("the gateway did not answer")
        self.changes += 1

    async def notify(self, device_id: int, event: str, body: str = "") -> int:
        if not self.running:
            raise NobodyThere("no gateway listens")
        if body and event != "aastra-xml":
            raise NotAllowed(f"{event} has no body")
        self.notices.append((device_id, event, body))
        return self.answer

    async def registrations(self, *, after: int = 0, limit: int = 1, device_ids: Any = None) -> RegistrationPage:
        if not self.running:
            raise NobodyThere("no gateway listens")
        phone = Registration(
            device_id=device_ids[0],
            contact="sip:tw1@192.168.1.7",
            host="198.51.100.7",
            port=5062,
            transport="UDP",
            user_agent="Mitel 6930",
            registered_at=1.0,
            expires_at=2.0,
            last_seen=1.5,
            reachable=True,
            at_icp=True,
        )
        return RegistrationPage(items=(phone,))


class MemoryForwards:
    """A Forwards that keeps its rules in memory."""

    def __init__(self) -> None:
        self.rules: dict[int, ForwardState] = {}
        self.origins: dict[tuple[str, str, int], OriginState] = {}
        self.running = True

    async def all(self) -> Sequence[ForwardState]:
        return list(self.rules.values())

    async def get(self, key: int) -> ForwardState:
        if key not in self.rules:
            raise ForwardUnknown(f"there is no port forwarding rule {key}")
        return self.rules[key]

    async def add(self, wish: ForwardWish) -> ForwardState:
        key = len(self.rules) + 1
        self.rules[key] = self._state(key, 1, wish)
        return self.rules[key]

    async def change(self, key: int, version: int, wish: ForwardWish) -> ForwardState:
        self._seen(await self.get(key), version)
        self.rules[key] = self._state(key, version + 1, wish)
        return self.rules[key]

    async def remove(self, key: int, version: int) -> None:
        self._seen(await self.get(key), version)
        del self.rules[key]

    async def origin(self, protocol: str, source: tuple[str, int], host: tuple[str, int] | None) -> OriginState | None:
        if not self.running:
            raise OriginUnknown("port forwarding is not running")
        return self.origins.get((protocol, *source))

    async def origins_of(
        self, protocol: str, asked: Sequence[tuple[tuple[str, int], tuple[str, int]]]
    ) -> list[OriginState | None]:
        return [await self.origin(protocol, source, host) for source, host in asked]

    def _seen(self, state: ForwardState, version: int) -> None:
        if state.version != version:
            raise ForwardOutdated("this rule was changed meanwhile")

    def _state(self, key: int, version: int, wish: ForwardWish) -> ForwardState:
        if "5060" in wish.ports:
            raise ForwardRefused("5060 is SIP's", "ports")
        warnings = () if wish.snat else ("without SNAT the suite does not know teleworkers",)
        return ForwardState(key, version, wish, None, "", warnings)


class Audited:
    """An AuditLog that remembers."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str, str]] = []

    async def __call__(self, user: str, source: str, action: str, target: str = "", detail: str = "") -> None:
        self.entries.append((user, source, action, target, detail))

    @property
    def actions(self) -> list[str]:
        return [entry[2] for entry in self.entries]


class WebSite:
    """The web services of one gateway, served in a thread of their own, so that blocking clients may ask them."""

    def __init__(self, folder: Path, settings: WebServicesSettings, permit_weak: bool) -> None:
        self.clock = Clock()
        self.control = FakeControl()
        self.forwards = MemoryForwards()
        self.audit = Audited()
        self.folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._sessions: list[OAuth1Session] = []
        self._settings = settings
        self._permit_weak = permit_weak

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something where the server runs."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def start(self) -> None:
        if DATABASES.place(self.folder / "gateway.db").server is None and not (self.folder / "gateway.db").exists():
            for file in _empty_store().iterdir():
                shutil.copy2(file, self.folder)
        self.do(self._start())

    async def _start(self) -> None:
        self.repository = repository_in(self.folder)
        await self.repository.open(REALM)
        repository = self.repository
        self.kept = WebServicesRepository(repository.engine, repository.sealer, self._settings, self.clock)
        self.service = WebServices(self.kept, self.audit)
        self.app: WebServicesApp = app(
            repository=self.repository,
            service=self.service,
            server=SERVER,
            control=cast(Control, self.control),
            forwards=self.forwards,
            audit=self.audit,
            permit_weak_passwords=self._permit_weak,
            authorise_page="/administration/web-services",
        )
        await self.service.start(ADMIN)
        certificate = ServerCertificate(_certificates(), [ADDRESS], "OPX test CA")
        self.server = HttpsServer(Starlette(routes=[Mount(PATH, self.app)]), ADDRESS, 0, certificate)
        await self.server.start()
        assert certificate.authority_file is not None
        self.authority = str(certificate.authority_file)

    def stop(self) -> None:
        for session in self._sessions:
            session.close()
        self.do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        await self.server.stop()
        await self.repository.close()

    @property
    def url(self) -> str:
        return f"https://{ADDRESS}:{self.server.port}{PATH}"

    # --- what a test does with it

    def consumer(self, spec: ConsumerSpec = GUIDE) -> tuple[ConsumerRecord, str]:
        return self.do(self.service.add_consumer(ADMIN, spec))

    def session(self, **known: Any) -> OAuth1Session:
        """A client that is not ours."""
        known.setdefault("signature_method", "HMAC-SHA256")
        session = OAuth1Session(known.pop("client_key", "MiVOAppSuite"), **known)
        session.verify = self.authority
        session.trust_env = False
        self.keep(session)
        return session

    def keep(self, session: OAuth1Session) -> None:
        """To be closed before the server is stopped, which would wait for it."""
        self._sessions.append(session)

    def temporary(self, secret: str, **known: Any) -> OAuth1Session:
        """Asked for a temporary token."""
        session = self.session(client_secret=secret, callback_uri="oob", **known)
        session.fetch_request_token(f"{self.url}/oauth/request_token")
        return session

    def approve(self) -> str:
        """The newest request; its verifier."""
        (newest, *_) = self.do(self.service.temporary_tokens())
        verifier = self.do(self.service.approve(ADMIN, newest.id)).verifier
        assert verifier is not None
        return verifier

    def authorised(self, spec: ConsumerSpec = GUIDE, **known: Any) -> OAuth1Session:
        """The whole exchange, from a new consumer to a session with a final token."""
        _, secret = self.consumer(spec)
        session = self.temporary(secret, client_key=spec.consumer_id, **known)
        session._client.client.verifier = self.approve()
        session.fetch_access_token(f"{self.url}/oauth/access_token")
        return session

    def with_node(self, host: str = "10.0.0.20") -> int:
        """An ICP; its id."""
        icp, _ = self.do(self.repository.save_icp(IcpSpec("Node 1", host, type="MiVoice Office 250")))
        return icp.id


class Api:
    """The resources as one consumer sees them."""

    def __init__(self, site: WebSite, session: OAuth1Session) -> None:
        self.site = site
        self.session = session

    def __call__(self, method: str, path: str, version: int | str | None = None, **known: Any) -> requests.Response:
        headers = {} if version is None else {"If-Match": f'"{version}"' if isinstance(version, int) else version}
        answer: requests.Response = self.session.request(method, self.site.url + path, headers=headers, **known)
        return answer

    def error(self, *arguments: Any, **known: Any) -> tuple[int, str]:
        answer = self(*arguments, **known)
        return answer.status_code, answer.json()["error"]


@cache
def _empty_store() -> Path:
    """Key and database of a gateway that has never run, made once in a process: each test gets a copy."""
    folder = _folder("opx-store-")

    async def make() -> None:
        async with opened(folder):
            pass

    asyncio.run(make())
    return folder


@cache
def _certificates() -> Path:
    """One authority for all tests of a process."""
    return _folder("opx-certificates-")


def _folder(prefix: str) -> Path:
    """Gone when the process ends."""
    folder = tempfile.mkdtemp(prefix=prefix)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextmanager
def web_site(
    folder: Path, *, settings: WebServicesSettings | None = None, permit_weak: bool = False
) -> Iterator[WebSite]:
    site = WebSite(folder, settings or WebServicesSettings(), permit_weak)
    try:
        site.start()
        try:
            yield site
        finally:
            site.stop()
    except BaseException:
        if site._thread.is_alive():
            site._loop.call_soon_threadsafe(site._loop.stop)
            site._thread.join()
        raise


def narrowed(spec: ConsumerSpec, **permissions: Permission) -> ConsumerSpec:
    return replace(spec, permissions={**spec.permissions, **permissions})
