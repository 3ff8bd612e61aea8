"""The true source of what comes through the gateway's port forwarding: asked of the gateway, many at a time.

SNAT hides every phone outside behind the gateway's inside address. What the gateway does not tell (the web services are
off, the permission is missing) is not guessed: it is "" then, and `trouble` says why.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from opx.gateway_client.errors import GatewayError, Slower

Endpoint = tuple[str, int]
Asked = tuple[Endpoint, Endpoint]
"""Where a connection seems to come from, and the own address and port that it came to."""
LookUp = Callable[[Sequence[Asked]], Awaitable[Sequence[str | None]]]
"""The outside address of each, None where the gateway has forwarded none. GatewayError."""

GATHER_SECONDS = 0.004
"""How long the first of a batch waits for others: nothing beside a TLS handshake through the internet."""
BATCH = 500
"""What the gateway takes at once."""
AT_ONCE = 2
"""Batches under way at the same time: the gateway takes so many requests of a consumer and no more."""
QUIET_SECONDS = 30.0
"""After a failure that concerns all, nothing is asked for so long: 5,000 phones must not wait for the same silence."""


@dataclass(slots=True, eq=False)
class Connection:
    """What is known of a connection; its requests share it. `source`: the true one, None before it was asked for."""

    peer: Endpoint
    own: Endpoint
    secure: bool
    certificate: str = ""
    """The subject of the client's certificate, verified by the TLS handshake; "" without one."""
    source: "asyncio.Future[str] | None" = field(default=None, repr=False)
    closed: bool = False
    """What the gateway tells afterwards may be of another connection, which has got the same port of it."""


class Origins:
    """`of` gives a connection's true source. `on_trouble` hears after each look-up why they are not known, "" when they
    are. `trouble` is that reason, too."""

    def __init__(
        self,
        look_up: LookUp,
        patience: float,
        on_trouble: Callable[[str], None] = lambda text: None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble = ""
        self.look_up = look_up
        self._patience = patience
        self._on_trouble = on_trouble
        self._sleep = sleep
        self._monotonic = monotonic
        self._waiting: list[Connection] = []
        self._gathering: asyncio.Task[None] | None = None
        self._batches: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._quiet_until = 0.0

    async def of(self, connection: Connection) -> str:
        """ "" when it cannot be told."""
        if connection.source is None:
            connection.source = asyncio.get_running_loop().create_future()
            if self._monotonic() < self._quiet_until:
                connection.source.set_result("")
            else:
                self._waiting.append(connection)
                if self._gathering is None or self._gathering.done():
                    self._gathering = asyncio.create_task(self._gather())
        # The request that asked first may be gone before the answer is there; others wait for the same.
        return await asyncio.shield(connection.source)

    async def stop(self) -> None:
        tasks = [*self._batches, *([self._gathering] if self._gathering else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._give_up()

    def _give_up(self) -> None:
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            _settle(connection, "")

    def retry(self) -> None:
        """What stood in the way may be gone, such as a missing token."""
        self._quiet_until = 0.0

    async def _gather(self) -> None:
        """As long as somebody waits. While enough batches are under way the next one grows."""
        await self._sleep(GATHER_SECONDS)
        while self._waiting:
            await self._turn.acquire()
            if self._monotonic() < self._quiet_until:
                self._turn.release()
                self._give_up()
                break
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            task = asyncio.create_task(self._ask(batch))
            self._batches.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._turn.release()
        self._batches.discard(task)

    async def _ask(self, batch: list[Connection]) -> None:
        found: Sequence[str | None] = [None] * len(batch)
        try:
            async with asyncio.timeout(self._patience):
                found = await self.look_up([(connection.peer, connection.own) for connection in batch])
            self._say("")
        except (GatewayError, TimeoutError) as error:
            wait = error.retry_after if isinstance(error, Slower) else QUIET_SECONDS
            self._quiet_until = self._monotonic() + min(wait, QUIET_SECONDS)
            self._say(str(error) or f"the gateway did not answer within {self._patience:.0f} s")
        finally:
            # When it is cancelled, too: nobody may wait for ever.
            for connection, source in zip(batch, found, strict=True):
                _settle(connection, "" if connection.closed else source or "")

    def _say(self, trouble: str) -> None:
        self.trouble = trouble
        self._on_trouble(trouble)


def _settle(connection: Connection, source: str) -> None:
    if connection.source is not None and not connection.source.done():
        connection.source.set_result(source)
