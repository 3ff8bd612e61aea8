"""Asks a running gateway: one connection, kept, and made anew when it is gone."""

import asyncio
import json
import logging
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from opx.gateway.control.forwards import AskForwards, AskOrigin, AskOrigins, ForwardsLive, OriginFound, OriginsFound
from opx.gateway.control.protocol import (
    MAX_ANSWER,
    PAGE,
    AskCall,
    AskCalls,
    AskCounters,
    AskLadder,
    AskRegistrations,
    AskStatus,
    CallDetails,
    CallPage,
    Changed,
    ControlError,
    Counters,
    Done,
    Event,
    HangUp,
    Ladder,
    NobodyThere,
    NotAllowed,
    NotAnswered,
    NotFound,
    Notified,
    Notify,
    Question,
    Refused,
    RegistrationPage,
    Sent,
    SetAlarm,
    Status,
    TakeSettings,
    TryAlarm,
)

ANSWER_LIMIT = 5.0
"""Seconds for a question that is answered from memory."""
CHANGE_LIMIT = 15.0
"""Seconds for a change to be taken over; tens of thousands of devices are read again."""
PHONE_LIMIT = 40.0
"""Seconds for what a phone has to answer: its transaction takes 32 at most."""
SEND_LIMIT = 60.0
"""Seconds for a trial alarm, whose mail server may be slow."""

A = TypeVar("A", bound=BaseModel)

log = logging.getLogger(__name__)


class ControlClient:
    """A `Control`. Connects when first asked; `close` in the end.

    A connection that turns out to be gone is made anew once per question, so that a gateway that was started again
    is found at once. An order that may have been carried out already is not given twice.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._link: _Link | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def changed(self) -> None:
        await self._ask(Changed(), Done, CHANGE_LIMIT)

    async def take_settings(self) -> None:
        await self._ask(TakeSettings(), Done)

    async def status(self) -> Status:
        return await self._ask(AskStatus(), Status)

    async def registrations(
        self, *, after: int = 0, limit: int = PAGE, device_ids: tuple[int, ...] | None = None
    ) -> RegistrationPage:
        return await self._ask(AskRegistrations(after=after, limit=limit, device_ids=device_ids), RegistrationPage)

    async def calls(self, *, after: str = "", limit: int = PAGE, device_ids: tuple[int, ...] | None = None) -> CallPage:
        return await self._ask(AskCalls(after=after, limit=limit, device_ids=device_ids), CallPage)

    async def call(self, call_id: str) -> CallDetails:
        return await self._ask(AskCall(call_id=call_id), CallDetails)

    async def ladder(self, call_id: str) -> Ladder:
        return await self._ask(AskLadder(call_id=call_id), Ladder)

    async def counters(self) -> Counters:
        return await self._ask(AskCounters(), Counters)

    async def forwards(self) -> ForwardsLive:
        return await self._ask(AskForwards(), ForwardsLive, CHANGE_LIMIT)

    async def origin(
        self, address: str, port: int, *, host: tuple[str, int] | None = None, protocol: Literal["TCP", "UDP"] = "TCP"
    ) -> OriginFound:
        return await self._ask(AskOrigin(address=address, port=port, host=host, protocol=protocol), OriginFound)

    async def origins(
        self,
        connections: Sequence[tuple[tuple[str, int], tuple[str, int]]],
        *,
        protocol: Literal["TCP", "UDP"] = "TCP",
    ) -> tuple[OriginFound, ...]:
        question = AskOrigins(connections=tuple(connections), protocol=protocol)
        return (await self._ask(question, OriginsFound)).items

    async def hang_up(self, call_id: str, reason: str) -> None:
        await self._ask(HangUp(call_id=call_id, reason=reason), Done, once=True)

    async def notify(self, device_id: int, event: Event, body: str = "") -> int:
        question = Notify(device_id=device_id, event=event, body=body)
        return (await self._ask(question, Notified, PHONE_LIMIT, once=True)).status

    async def set_alarm(self, kind: str, subject: str, cause: str, *, raised: bool = True) -> None:
        await self._ask(SetAlarm(kind=kind, subject=subject, cause=cause, raised=raised), Done)

    async def test_alarm(self) -> dict[str, str]:
        return (await self._ask(TryAlarm(), Sent, SEND_LIMIT, once=True)).ways

    async def _ask(self, question: Question, answer: type[A], limit: float = ANSWER_LIMIT, once: bool = False) -> A:
        known = self._link
        link = await self._connected()
        try:
            text = await link.ask(question, limit)
        except NobodyThere:
            if once or link is not known:
                raise
            text = await (await self._connected()).ask(question, limit)
        try:
            return answer.model_validate(text)
        except ValidationError as error:
            raise ControlError(f"the gateway's answer to {question.name} cannot be read: {error}") from None

    async def _connected(self) -> "_Link":
        async with self._connecting:
            if self._link is None or not self._link.alive:
                self._link = await _Link.to(self._path)
            return self._link


class _Link:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.alive = True
        self._writer = writer
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._reading = asyncio.get_running_loop().create_task(self._read(reader))

    @classmethod
    async def to(cls, path: Path) -> "_Link":
        try:
            return cls(*await asyncio.open_unix_connection(str(path), limit=MAX_ANSWER))
        except OSError as error:
            raise NobodyThere(f"no gateway listens on {path}: {error.strerror or error}") from None

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def ask(self, question: Question, limit: float) -> Any:
        """The answer as it stands in the line. ControlError."""
        if not self.alive:
            raise NobodyThere("the gateway has ended")
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        line = f'{{"id":{number},"ask":{json.dumps(question.name)},"with":{question.model_dump_json()}}}\n'
        self._writer.write(line.encode())
        try:
            async with asyncio.timeout(limit):
                return await future
        except TimeoutError:
            raise NotAnswered(f"the gateway did not answer {question.name} within {limit:.0f} s") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._on_answer(json.loads(line))
        except (OSError, ValueError) as error:
            log.warning("control socket: connection lost: %s", error)
        finally:
            self.alive = False
            self._writer.close()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(NobodyThere("the gateway ended before it answered"))

    def _on_answer(self, message: dict[str, Any]) -> None:
        future = self._waiting.get(message.get("id") or 0)
        if future is None or future.done():
            return
        if "answer" in message:
            future.set_result(message["answer"])
        else:
            future.set_exception(_refusal(str(message.get("error")), str(message.get("text"))))


def _refusal(code: str, text: str) -> Refused:
    match code:
        case "not-found":
            return NotFound(text)
        case "not-allowed":
            return NotAllowed(text)
        case _:
            return Refused(code, text)
