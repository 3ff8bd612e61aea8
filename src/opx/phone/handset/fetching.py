"""A handset's HTTP and HTTPS requests: a new connection for each, or one that is kept; digest when it is challenged."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field

from opx.phone.handset import tftp
from opx.phone.handset.connection import Connection
from opx.phone.handset.http import Answer, HttpError, Url, authorization, request
from opx.phone.handset.trust import Trust, context
from opx.sip.digest import DigestClient

TIMEOUT = 60.0
"""Seconds from the wish for a connection to the end of the answer."""


@dataclass(slots=True)
class Tally:
    """What a handset, or a whole fleet, has asked for."""

    connections: int = 0
    requests: int = 0
    challenged: int = 0
    failed: int = 0
    """Requests that got no answer."""
    busy: int = 0
    """Answers that said: not now."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why requests got no answer."""

    def fail(self, error: HttpError) -> HttpError:
        self.failed += 1
        self.reasons[str(error)] = self.reasons.get(str(error), 0) + 1
        return error


@dataclass(frozen=True, slots=True)
class Manner:
    """How a handset asks. Times in seconds. `delays` are waited before a request without answer is tried again."""

    keep_alive: bool = False
    """One connection for all requests in turn; else a new one, without TLS resumption, for each."""
    timeout: float = TIMEOUT
    delays: Sequence[float] = (2.0, 5.0)


class Client:
    """`local` is the handset's own address; `trust` and `digest` are followed as they are at the time of a request."""

    def __init__(self, local: str, user_agent: str, manner: Manner, tally: Tally | None = None) -> None:
        self.trust = Trust()
        self.digest: DigestClient | None = None
        self.user_agent = user_agent
        self.tally = tally or Tally()
        self._local = local
        self._manner = manner
        self._kept: Connection | None = None

    async def get(self, url: str, headers: Sequence[tuple[str, str]] = ()) -> Answer:
        """One GET, with an answer to a challenge where credentials are at hand. HttpError, ValueError for a bad URL."""
        if url.startswith("tftp://"):
            return await self._read_by_tftp(url)
        where = Url.parse(url)
        all_headers = [("User-Agent", self.user_agent), ("Accept", "*/*"), *headers]
        answer = await self._ask(where, all_headers, may_be_challenged=self.digest is not None)
        if answer.status == 401 and self.digest is not None:
            self.tally.challenged += 1
            credentials = authorization(answer, self.digest, where)
            if credentials is not None:
                answer = await self._ask(where, [*all_headers, ("Authorization", credentials)], may_be_challenged=False)
        if answer.status in (429, 503):
            self.tally.busy += 1
        return answer

    async def _read_by_tftp(self, url: str) -> Answer:
        host, _, name = url.removeprefix("tftp://").partition("/")
        self.tally.requests += 1
        try:
            return Answer(200, body=await tftp.fetch(self._local, host, name))
        except tftp.TftpError as error:
            if error.code == tftp.NOT_FOUND:
                return Answer(404)
            raise self.tally.fail(error) from None
        except OSError as error:
            raise self.tally.fail(HttpError(f"cannot be reached: {error.strerror or error}")) from None

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def _ask(self, url: Url, headers: list[tuple[str, str]], *, may_be_challenged: bool) -> Answer:
        # The answer to a challenge goes out on the connection that brought it, as clients do.
        keep = self._manner.keep_alive or may_be_challenged
        self.tally.requests += 1
        try:
            async with asyncio.timeout(self._manner.timeout):
                data = request(url, headers, keep_alive=keep)
                connection, answer = await self._again(url, data) or await self._anew(url, data)
        except HttpError as error:
            raise self.tally.fail(error) from None
        except TimeoutError:
            raise self.tally.fail(HttpError("no answer in time")) from None
        except ssl.SSLError as error:
            raise self.tally.fail(HttpError(f"TLS: {error.reason or error}")) from None
        except OSError as error:
            raise self.tally.fail(HttpError(f"cannot be reached: {error.strerror or error}")) from None
        if keep and connection.open and (self._manner.keep_alive or answer.status == 401):
            self._kept = connection
        else:
            connection.close()
        return answer

    async def _again(self, url: Url, data: bytes) -> tuple[Connection, Answer] | None:
        """By the kept connection; None without one, or when the server had closed it (RFC 9112 section 9.3.1)."""
        kept = self._take_kept(url)
        if kept is None:
            return None
        try:
            return kept, await kept.ask(data)
        except (HttpError, OSError):
            kept.close()
            return None
        except BaseException:
            kept.close()
            raise

    async def _anew(self, url: Url, data: bytes) -> tuple[Connection, Answer]:
        connection = await self._connect(url)
        try:
            return connection, await connection.ask(data)
        except BaseException:
            connection.close()
            raise

    def _take_kept(self, url: Url) -> Connection | None:
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        if kept.open and kept.to == (url.scheme, url.host, url.port) and kept.trust == self.trust:
            return kept
        kept.close()
        return None

    async def _connect(self, url: Url) -> Connection:
        loop = asyncio.get_running_loop()
        self.tally.connections += 1
        connection = Connection((url.scheme, url.host, url.port), self.trust)
        await loop.create_connection(lambda: connection, url.host, url.port, local_addr=(self._local, 0))
        if url.scheme == "https":
            try:
                await connection.secure(context(self.trust))
            except BaseException:
                connection.close()
                raise
        return connection
