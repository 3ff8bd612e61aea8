"""What the web services need of other rooms. Each is a Protocol, so that a test or another process may stand in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class AuditLog(Protocol):
    """Who changed what. `opx.web.audit.Audit.note` is one."""

    async def __call__(self, user: str, source: str, action: str, target: str = "", detail: str = "") -> None: ...


async def no_audit(user: str, source: str, action: str, target: str = "", detail: str = "") -> None:
    """An AuditLog for where there is none."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What every consumer with a valid token may know of the gateway."""

    inside: str
    outside: str
    sip_port: int
    """Where phones outside reach SIP."""
    version: str
    """OPX's own release."""
    mode: str = "gateway"


class ForwardRefused(Exception):
    """A port forwarding rule that cannot be; `field` names what is wrong with it, "" for the rule as a whole."""

    def __init__(self, text: str, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class ForwardUnknown(ForwardRefused):
    """There is no such rule."""


class ForwardOutdated(ForwardRefused):
    """Somebody else has changed the rule since."""


class OriginUnknown(Exception):
    """Origins cannot be told now; the text says why."""


@dataclass(frozen=True, slots=True)
class ForwardWish:
    """A port forwarding rule as it is asked for. `ports` is a port, a list or ranges; `sources` empty: everyone."""

    protocol: str
    ports: str
    host: str
    host_port: int | None
    snat: bool
    sources: tuple[str, ...]
    description: str
    enabled: bool
    forced: bool


@dataclass(frozen=True, slots=True)
class ForwardState:
    """A rule that is kept. `in_force` None: not known; `trouble` says why it is not in force, or has no effect."""

    id: int
    version: int
    wish: ForwardWish
    in_force: bool | None
    trouble: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OriginState:
    """Who is behind a forwarded connection: its outside source, the gateway's port that it called, and the rule."""

    address: str
    port: int
    outside_port: int
    rule: int | None


class Forwards(Protocol):
    """The port forwarding rules. ForwardRefused and its kinds say why something is not done."""

    async def all(self) -> Sequence[ForwardState]: ...

    async def get(self, key: int) -> ForwardState: ...

    async def add(self, wish: ForwardWish) -> ForwardState: ...

    async def change(self, key: int, version: int, wish: ForwardWish) -> ForwardState: ...

    async def remove(self, key: int, version: int) -> None: ...

    async def origin(self, protocol: str, source: tuple[str, int], host: tuple[str, int] | None) -> OriginState | None:
        """Whom a connection comes from that the LAN sees come from `source`, to `host`. None when that is not known.

        OriginUnknown.
        """

    async def origins_of(
        self, protocol: str, asked: Sequence[tuple[tuple[str, int], tuple[str, int]]]
    ) -> Sequence[OriginState | None]:
        """The same of many connections, each by its source and its host, in their order. OriginUnknown."""
