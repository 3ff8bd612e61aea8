"""HTTP/1.1 from a client's end, without a socket: requests as bytes, a reader of answers, digest credentials."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httptools

from opx.sip.digest import Challenge, DigestClient
from opx.sip.errors import RemoteProtocolError

MAX_BODY = 64 * 1024 * 1024
"""Bytes of an answer; firmware is the largest."""
DEFAULT_PORTS = {"http": 80, "https": 443}


class HttpError(Exception):
    """The server could not be asked, or what it answered is no HTTP; the text says which."""


@dataclass(frozen=True, slots=True)
class Url:
    """An http or https URL taken apart. `target` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, text: str) -> Url:
        """ValueError."""
        parts = urlsplit(text)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"not an http or https URL: {text.partition('?')[0][:80]!r}")
        target = parts.path or "/"
        if parts.query:
            target += f"?{parts.query}"
        return cls(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], target)

    @property
    def authority(self) -> str:
        return self.host if self.port == DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


@dataclass(slots=True)
class Answer:
    """`headers` by lower-case name; of a header that came several times the values stand in a list, one each."""

    status: int = 0
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Its first value, "" without one."""
        return next(iter(self.headers.get(name, ())), "")


def request(url: Url, headers: list[tuple[str, str]], *, keep_alive: bool, method: str = "GET") -> bytes:
    lines = [f"{method} {url.target} HTTP/1.1", f"Host: {url.authority}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if not keep_alive:
        lines.append("Connection: close")
    return "\r\n".join((*lines, "", "")).encode("utf-8", "replace")


class AnswerReader:
    """Takes what comes; `done` once the answer is whole."""

    def __init__(self, max_body: int = MAX_BODY) -> None:
        self.answer = Answer()
        self.done = False
        self._keeps_alive = False
        self._body: list[bytes] = []
        self._left = max_body
        self._parser = httptools.HttpResponseParser(self)

    @property
    def keeps_alive(self) -> bool:
        return self._keeps_alive

    def feed(self, data: bytes) -> None:
        """HttpError."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise HttpError(f"not HTTP: {error}") from None
        if self._left < 0:
            raise HttpError("the answer is too large")

    def end(self) -> None:
        """The server closed the connection. HttpError when the answer was not whole."""
        if self.done:
            return
        headers = self.answer.headers
        if not self.answer.status or "content-length" in headers or "transfer-encoding" in headers:
            raise HttpError("the connection was closed before the answer was whole")
        self.answer.body = b"".join(self._body)
        self.done = True

    # --- what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self.answer.headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        self.answer.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if not self.done:
            self.answer.body = b"".join(self._body)
            self.done = True
            self._keeps_alive = bool(self._parser.should_keep_alive())


def authorization(answer: Answer, client: DigestClient, url: Url, method: str = "GET") -> str | None:
    """The Authorization for a 401's challenges (RFC 7616); None when none of them can be answered."""
    challenges = []
    for value in answer.headers.get("www-authenticate", ()):
        try:
            challenges.append(Challenge.parse(value))
        except RemoteProtocolError:
            continue
    header = client.answer(challenges, method, url.target)
    return header[1] if header else None
