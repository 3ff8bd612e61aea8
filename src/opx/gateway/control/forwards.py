"""What can be asked of port forwarding in the running gateway."""

from collections.abc import Sequence
from typing import Literal
from typing import Protocol as Interface

from pydantic import Field

from opx.gateway.control.protocol import Control, Part, Question

MAX_ORIGINS = 1000
"""Connections asked for at once; a question of so many fits into a line."""


class AskForwards(Question):
    """What is in force of the rules that the database holds."""

    name = "forwards"


class ForwardLive(Part):
    """A rule of the database in the running gateway. `why` says what keeps it from working, "" where all is well.

    Counted since the rule came into force: `bytes_up` from outside to the host, `bytes_down` back; `refused` are
    connections of sources that are not let in, or over a limit. `open` None: not known.
    """

    id: int
    version: int
    state: Literal["in force", "in force, but hindered", "not in force", "off"]
    why: str
    connections: int = 0
    open: int | None = None
    bytes_up: int = 0
    bytes_down: int = 0
    refused: int = 0


class ForwardsLive(Part):
    """`driver` in use and a `remark` why it is this one; `problem` keeps all rules from working."""

    driver: str
    remark: str
    problem: str
    rules: tuple[ForwardLive, ...]


class AskOrigin(Question):
    """Whom a connection comes from that a host of the LAN sees come from `address` and `port`.

    `host` is its own address and port, which make the answer certain: one source port may lead to several hosts.
    NotAllowed when it cannot be known now.
    """

    name = "origin"
    address: str = Field(max_length=64)
    port: int = Field(ge=1, le=65535)
    host: tuple[str, int] | None = None
    protocol: Literal["TCP", "UDP"] = "TCP"


class AskOrigins(Question):
    """The same of many connections at once, each by its source and its host's own address and port."""

    name = "origins"
    connections: tuple[tuple[tuple[str, int], tuple[str, int]], ...] = Field(max_length=MAX_ORIGINS)
    protocol: Literal["TCP", "UDP"] = "TCP"


class OriginFound(Part):
    """The outside source, and the port of the gateway that it called; not `known`: there is none, or several."""

    known: bool
    address: str = ""
    port: int = 0
    outside_port: int = 0
    forward_id: int | None = None


class OriginsFound(Part):
    """In the order of the question."""

    items: tuple[OriginFound, ...]


class ForwardingControl(Control, Interface):
    """The running gateway with its port forwarding. Every method raises ControlError."""

    async def forwards(self) -> ForwardsLive: ...
    async def origin(
        self, address: str, port: int, *, host: tuple[str, int] | None = None, protocol: Literal["TCP", "UDP"] = "TCP"
    ) -> OriginFound: ...
    async def origins(
        self,
        connections: Sequence[tuple[tuple[str, int], tuple[str, int]]],
        *,
        protocol: Literal["TCP", "UDP"] = "TCP",
    ) -> tuple[OriginFound, ...]: ...
