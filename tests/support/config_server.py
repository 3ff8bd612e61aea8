"""A scripted configuration server: what a handset is to be given, and what it asked for."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httptools
import trustme

from opx.sip.digest import Algorithm, DigestVerifier, ha1
from opx.sip.nonces import NonceIssuer


@dataclass
class Asked:
    """One request. `user` is who was shown by digest, "" nobody; `connection` counts from 1."""

    target: str
    headers: dict[str, str]
    user: str
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0].lstrip("/")


@dataclass
class ConfigServer:
    """`files` by path; a status instead of content refuses. With `users` every request needs digest credentials."""

    address: str
    files: dict[str, str | bytes | int] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    answering: bool = True
    """Else connections are closed without a word."""
    secure: bool = True
    """HTTPS, else HTTP."""
    port: int = 0

    def __post_init__(self) -> None:
        self.authority = trustme.CA()
        certificate = self.authority.issue_cert(self.address)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.tls)
        self.authority_pem = self.authority.cert_pem.bytes().decode()
        self.verifier = DigestVerifier("handsets", NonceIssuer(b"scripted"))
        self._connections = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.address}:{self.port}"

    def paths(self) -> list[str]:
        return [asked.path for asked in self.asked]

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        tls = self.tls if self.secure else None
        self._server = await loop.create_server(lambda: _Connection(self), self.address, self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()

    def next_connection(self) -> int:
        self._connections += 1
        return self._connections

    def answer(self, target: str, headers: dict[str, str], connection: int) -> bytes:
        user = ""
        if self.users:
            verdict = self.verifier.verify(
                "GET", [headers["authorization"]] if "authorization" in headers else [], self._ha1, time.time(), target
            )
            if not verdict.ok:
                self.asked.append(Asked(target, headers, "", connection))
                challenges = [f"{name}: {value}" for name, value in self.verifier.challenges(time.time())]
                return _message(401, b"", challenges)
            user = verdict.username
        self.asked.append(Asked(target, headers, user, connection))
        found = self.files.get(self.asked[-1].path, 404)
        if isinstance(found, int):
            return _message(found, b"")
        body = found.encode() if isinstance(found, str) else found
        etag = f'"{hash(body)}"'
        if headers.get("if-none-match") == etag:
            return _message(304, b"")
        return _message(200, body, [f"ETag: {etag}"])

    def _ha1(self, username: str, algorithm: Algorithm) -> str | None:
        password = self.users.get(username)
        return None if password is None else ha1(algorithm, username, self.verifier.realm, password)


def _message(status: int, body: bytes, more: list[str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *(more or [])]
    return "\r\n".join((*lines, "", "")).encode() + body


class _Connection(asyncio.Protocol):
    def __init__(self, server: ConfigServer) -> None:
        self._server = server
        self._number = server.next_connection()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._begin()
        if not self._server.answering:
            transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def _begin(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[str, str] = {}

    def on_url(self, url: bytes) -> None:
        self._target = url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_message_complete(self) -> None:
        self._transport.write(self._server.answer(self._target, self._headers, self._number))
        if self._headers.get("connection") == "close":
            self._transport.close()
        self._headers = {}


@asynccontextmanager
async def config_server(
    address: str, files: dict[str, str | bytes | int], *, secure: bool = True
) -> AsyncIterator[ConfigServer]:
    server = ConfigServer(address, files, secure=secure)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
