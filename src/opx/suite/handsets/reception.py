"""Walks a request: who asks, from which side, may they have it, who answers. Sans I/O but for what routes do.

Everything that is refused gets the same answer, whatever the reason: status 404 and two words. A challenge (401) is the
one exception, and everybody gets it for a path that needs one, a phone that does not exist like any other.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qsl

from opx.suite.handsets.authority import Ask, Authority, Outcome, Verdict
from opx.suite.handsets.http import TEXT, Access, Caller, HandsetRequest, HandsetResponse, Routes
from opx.suite.handsets.identify import identify, mac_of, path_of
from opx.suite.handsets.origins import Connection
from opx.suite.handsets.records import Side, Sighting
from opx.suite.handsets.shelf import File, Shelf
from opx.suite.handsets.sides import Sides
from opx.suite.handsets.witness import Witness
from opx.suite.timeline import Kind

MAX_QUERY = 2048
NO_STORE = ("cache-control", "no-store")

REFUSED = HandsetResponse(b"Not found\n", TEXT, 404, headers=(NO_STORE,))
_CHALLENGED = b"Unauthorized\n"


class Reception:
    """`answer` is what the server calls. `http_secrets`: whether approved phones get their file without TLS, too."""

    def __init__(
        self,
        sides: Sides,
        authority: Authority,
        shelf: Shelf,
        routes: Routes,
        witness: Witness,
        http_secrets: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sides = sides
        self._authority = authority
        self._shelf = shelf
        self._routes = routes
        self._witness = witness
        self._http_secrets = http_secrets
        self._clock = clock

    async def answer(
        self,
        method: str,
        raw_path: bytes,
        query: bytes,
        headers: Sequence[tuple[bytes, bytes]],
        connection: Connection,
    ) -> HandsetResponse:
        """Never raises for what a stranger sends."""
        known = _Headers(headers)
        if known.has_body:
            # What follows is not read.
            return replace(REFUSED, headers=(NO_STORE, ("connection", "close")))
        side = self._sides.side_of(connection.peer[0])
        identity = identify(known.one("user-agent"))
        path = path_of(raw_path)
        if (
            method not in ("GET", "HEAD")
            or side is None
            or identity is None
            or path is None
            or len(query) > MAX_QUERY
            or (side is Side.TELEWORKER and not connection.secure)
        ):
            return REFUSED
        target = raw_path.decode("ascii") + (f"?{query.decode('latin-1')}" if query else "")
        ask = Ask(identity, side, connection, method, target, known.all("authorization"))
        mac = mac_of(path)
        if mac is None:
            return await self._other(ask, path, query, known)
        if mac != identity.mac:
            source = await self._authority.source_of(connection, side)
            self._authority.named(mac, source, f"a handset that says it is {identity.mac} asked for its file")
            return REFUSED
        response = await self._file(ask)
        return _unchanged(response, known)

    async def _file(self, ask: Ask) -> HandsetResponse:
        """The phone's own."""
        verdict = await self._authority.judge(ask)
        match verdict.outcome:
            case Outcome.SILENCE:
                return REFUSED
            case Outcome.CHALLENGE | Outcome.STALE:
                return self._challenge(verdict)
            case Outcome.PHONE if verdict.phone is not None:
                return self._deliver(ask, verdict)
        return _response(self._shelf.stranger(ask.identity.model, ask.side))

    def _deliver(self, ask: Ask, verdict: Verdict) -> HandsetResponse:
        phone, identity = verdict.phone, ask.identity
        assert phone is not None
        at = self._clock()
        seen = Sighting(phone.mac, at, identity.model, identity.firmware, identity.user_agent, ask.side, verdict.source)
        if not (ask.connection.secure or self._http_secrets):
            self._witness.saw(seen)
            text = "asked without TLS; what it may have goes over HTTPS only"
            self._witness.note(phone.mac, Kind.REFUSED, text)
            return _response(self._shelf.stranger(identity.model, ask.side))
        file = self._shelf.own(phone, identity.model, ask.side)
        self._witness.saw(replace(seen, delivered=file.version))
        if file.lacks:
            self._witness.note(phone.mac, Kind.WARNING, f"has no line: {file.lacks}")
        if file.version != phone.delivered:
            self._witness.note(phone.mac, Kind.DONE, f"fetched configuration {file.version[:8]}")
        return _response(file)

    async def _other(self, ask: Ask, path: str, query: bytes, known: "_Headers") -> HandsetResponse:
        """What routes answer: files of all phones, pages."""
        access, source, phone = Access.HANDSET, ask.connection.peer[0] if ask.side is Side.LOCAL else "", None
        fields = _fields(query)
        for route in self._routes.find(path):
            if route.access > access:
                if route.access is Access.TRACED:
                    source = await self._authority.source_of(ask.connection, ask.side)
                    if self._authority.blocked(source):
                        return REFUSED
                else:
                    verdict = await self._authority.judge(replace(ask, page=True))
                    if verdict.outcome is not Outcome.PHONE:
                        return REFUSED if verdict.outcome is Outcome.SILENCE else self._challenge(verdict)
                    if not (ask.connection.secure or self._http_secrets):
                        return REFUSED
                    phone, source = verdict.phone, verdict.source
                access = route.access
            caller = Caller(ask.identity, ask.side, source, ask.connection.secure, access, phone)
            response = await route.answer(HandsetRequest(path, caller, fields, known.mapping))
            if response is not None:
                return _unchanged(response, known)
        return REFUSED

    def _challenge(self, verdict: Verdict) -> HandsetResponse:
        headers = self._authority.challenges(verdict.outcome is Outcome.STALE)
        return HandsetResponse(_CHALLENGED, TEXT, 401, headers=(NO_STORE, *headers))


class _Headers:
    """A request's, by lower-case name."""

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self._headers = headers

    def all(self, name: str) -> list[str]:
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._headers if key == wanted]

    def one(self, name: str) -> str:
        """ "" when there is none, or more than one."""
        values = self.all(name)
        return values[0] if len(values) == 1 else ""

    @property
    def has_body(self) -> bool:
        return self.all("transfer-encoding") != [] or self.all("content-length") not in ([], ["0"])

    @property
    def mapping(self) -> Mapping[str, str]:
        return {key.decode("latin-1"): value.decode("latin-1") for key, value in self._headers}


def _fields(query: bytes) -> dict[str, str]:
    if not query:
        return {}
    try:
        return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=50, encoding="utf-8"))
    except ValueError:
        return {}


def _response(file: File) -> HandsetResponse:
    return HandsetResponse(file.body, TEXT, etag=file.version)


def _unchanged(response: HandsetResponse, known: _Headers) -> HandsetResponse:
    """304 for who has it already (RFC 9110 section 13.1.2)."""
    if not response.etag or response.status != 200:
        return response
    wanted = [tag.strip().removeprefix("W/") for value in known.all("if-none-match") for tag in value.split(",")]
    if f'"{response.etag}"' not in wanted:
        return response
    return replace(response, body=b"", status=304, file=None)
