"""What the handset server's routes see of a request, and what they answer: plain values, no socket.

`Routes` finds the route of a path. A room that serves something of its own adds a `Route`, with the `Access` that a
phone must have for it; who has less is refused before the route runs, and looks to a stranger like an unknown path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Protocol

from opx.suite.handsets.records import PhoneRecord, Side

TEXT = "text/plain; charset=utf-8"
XML = "text/xml; charset=utf-8"
BINARY = "application/octet-stream"


class Access(IntEnum):
    """What a request has shown of its sender; each includes those before.

    `HANDSET` says by its User-Agent that it is one, from a side that is served; for what anybody may know, such as
    firmware. `TRACED`: its true source was looked up, as far as the gateway tells it, and was not refused too often.
    `PHONE` has shown that it is the approved phone that it says it is.
    """

    HANDSET = 1
    TRACED = 2
    PHONE = 3


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a User-Agent says that it is: it identifies, and proves nothing."""

    model: str
    mac: str
    firmware: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `phone` is None for a MAC that is not known. `source` is the true one, "" where that is not known.

    `secure`: it came over TLS.
    """

    identity: Identity
    side: Side
    source: str
    secure: bool
    access: Access = Access.HANDSET
    phone: PhoneRecord | None = None


@dataclass(frozen=True, slots=True)
class HandsetRequest:
    """A GET or HEAD. `path` without the leading slash, decoded; of query parameters given twice the last one counts."""

    path: str
    caller: Caller
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""


@dataclass(frozen=True, slots=True)
class HandsetResponse:
    """`etag` "" for what must not be kept. `max_age` seconds during which a phone need not ask again.

    `file` is sent instead of `body`, piece by piece, for what is too long for memory.
    """

    body: bytes = b""
    content_type: str = TEXT
    status: int = 200
    etag: str = ""
    max_age: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    file: Path | None = None


class Route(Protocol):
    """One kind of thing that phones fetch."""

    access: Access

    async def answer(self, request: HandsetRequest) -> HandsetResponse | None:
        """None: there is no such thing, which is answered like every refusal."""
        ...


class Routes:
    """Routes by the beginning of the path; `add("xml/", route)` gets `xml/menu`, `add("ca.pem", route)` that alone."""

    def __init__(self) -> None:
        self._exact: dict[str, Route] = {}
        self._below: dict[str, Route] = {}
        self._otherwise: list[Route] = []

    def add(self, path: str, route: Route) -> None:
        """ValueError when there is one already."""
        table = self._below if path.endswith("/") else self._exact
        if path in table:
            raise ValueError(f"there is a route for {path} already")
        table[path] = route

    def add_last(self, route: Route) -> None:
        """One that is asked for paths of the root that nobody else has, such as `6930.st`."""
        self._otherwise.append(route)

    def find(self, path: str) -> list[Route]:
        """Those to be asked, in order; none: nobody has it."""
        exact = self._exact.get(path.lower())
        if exact is not None:
            return [exact]
        head, slash, _ = path.partition("/")
        if slash:
            below = self._below.get(f"{head.lower()}/")
            return [below] if below is not None else []
        return self._otherwise
