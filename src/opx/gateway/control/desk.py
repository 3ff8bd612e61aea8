"""Carries out what is asked on the control socket."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from opx.gateway.control.lag import LagMeter
from opx.gateway.control.live import LiveView, media_figures
from opx.gateway.control.protocol import (
    AskCall,
    AskCalls,
    AskCounters,
    AskRegistrations,
    AskStatus,
    CallDetails,
    CallPage,
    Changed,
    Counter,
    Counters,
    Done,
    HangUp,
    NotAllowed,
    NotFound,
    Notified,
    Notify,
    RegistrationPage,
    Status,
)
from opx.gateway.control.server import Handler
from opx.gateway.media.interface import MediaDriver, stats_of
from opx.gateway.signalling.signalling import Signalling
from opx.gateway.signalling.timeline import Kind
from opx.sip.errors import LocalProtocolError

NOTICES: Mapping[str, tuple[str, str]] = {
    "check-sync": ("check-sync", ""),
    "reboot": ("check-sync;reboot=true", ""),
    "aastra-xml": ("aastra-xml", "application/xml"),
}
"""Event header and body type of what a phone can be told. `reboot` alone is no event that phones know."""

log = logging.getLogger(__name__)


class ControlDesk:
    """`reload` takes over what the database holds; `unwritten` and `counters` give the numbers of other parts."""

    def __init__(
        self,
        signalling: Signalling,
        driver: MediaDriver,
        live: LiveView,
        lag: LagMeter,
        *,
        reload: Callable[[], Awaitable[None]],
        unwritten: Callable[[], int],
        counters: Callable[[], list[Counter]],
    ) -> None:
        self._signalling = signalling
        self._driver = driver
        self._live = live
        self._lag = lag
        self._reload = reload
        self._unwritten = unwritten
        self._counters = counters
        self._started_at = time.time()
        self._reloading = asyncio.Lock()

    @property
    def handlers(self) -> dict[str, Handler]:
        known: dict[type[Any], Callable[[Any], Awaitable[Any]]] = {
            Changed: self._changed,
            AskStatus: self._status,
            AskRegistrations: self._registrations,
            AskCalls: self._calls,
            AskCall: self._call,
            AskCounters: self._ask_counters,
            HangUp: self._hang_up,
            Notify: self._notify,
        }
        return {question.name: Handler(question, answer) for question, answer in known.items()}

    async def _changed(self, question: Changed) -> Done:
        """One at a time: what came meanwhile runs again afterwards."""
        async with self._reloading:
            await self._reload()
        return Done()

    async def _status(self, question: AskStatus) -> Status:
        signalling = self._signalling
        licences = signalling.registrar.licences
        return Status(
            started_at=self._started_at,
            now=time.time(),
            registered=len(signalling.registrar.bindings.devices),
            calls=len(signalling.calls),
            licences_used=licences.used,
            licences=licences.total,
            icps=self._live.icps(),
            lag=self._lag.worst,
            unwritten=self._unwritten(),
        )

    async def _registrations(self, question: AskRegistrations) -> RegistrationPage:
        return self._live.registrations(question)

    async def _calls(self, question: AskCalls) -> CallPage:
        return self._live.calls(question)

    async def _call(self, question: AskCall) -> CallDetails:
        call = self._live.find(question.call_id)
        live = self._live.call(call)
        stats = await stats_of(self._driver, question.call_id)
        return CallDetails(call=live, media=media_figures(call.media, stats) if stats is not None else None)

    async def _ask_counters(self, question: AskCounters) -> Counters:
        return Counters(items=tuple(self._counters()))

    async def _hang_up(self, question: HangUp) -> Done:
        self._live.find(question.call_id).hang_up(question.reason)
        return Done()

    async def _notify(self, question: Notify) -> Notified:
        device = self._signalling.directory.device(question.device_id)
        if device is None:
            raise NotFound(f"there is no device {question.device_id}")
        event, content_type = NOTICES[question.event]
        if question.body and not content_type:
            raise NotAllowed(f"{question.event} has no body")
        answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def done(status: int) -> None:
            if not answered.done():
                answered.set_result(status)

        try:
            self._signalling.notices.notify_device(device.id, event, content_type, question.body.encode(), done)
        except LocalProtocolError as error:
            raise NotAllowed(str(error)) from None
        status = await answered
        told = f"NOTIFY {question.event} of the gateway: the phone answered {status}"
        self._signalling.timeline.add(device.id, Kind.MESSAGE, told)
        return Notified(status=status)
