"""What `opx phone run` does with its phone: register, then make one call, or take calls."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from pathlib import Path

import typer

from opx.phone.softphone import PhoneCall, Softphone
from opx.rtp import wav

REGISTER_LIMIT = 40.0
"""Seconds to wait for the first answer to REGISTER."""
TRANSFER_LIMIT = 180.0
"""Seconds that a transfer may take; as long as a REFER is remembered."""
PRESS_PAUSE = 0.5
"""Seconds from the answer until keys are pressed: whoever is to hear them must be listening."""


@dataclass(frozen=True, slots=True)
class Plan:
    """With a `number` it is called, and talked to for `duration` seconds; else `calls` calls are taken, 0: all."""

    number: str
    duration: float
    record: Path | None
    calls: int
    keys: str
    keys_in_info: bool
    transfer_to: str
    attended: bool


async def run_plan(phone: Softphone, plan: Plan) -> str:
    """What went wrong, "" when nothing did. SIGINT and SIGTERM end it."""
    stopped = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopped.set)
    phone.register()
    if not await _first(phone.tried, stopped, REGISTER_LIMIT) or not phone.registered.is_set():
        return "" if stopped.is_set() else "could not register"
    if plan.number:
        return await _place(phone, plan, stopped)
    return await _take(phone, plan, stopped)


async def _take(phone: Softphone, plan: Plan, stopped: asyncio.Event) -> str:
    answered = 0
    while not stopped.is_set() and (plan.calls == 0 or answered < plan.calls):
        phone.called.clear()
        if not phone.calls and not await _first(phone.called, stopped, None):
            continue
        if not phone.calls:
            continue
        current = phone.calls[0]
        problem = await _use(phone, current, plan, stopped, None)
        if problem:
            return problem
        await _first(current.ended, stopped, None)
        if current.answered.is_set():
            answered += 1
            _keep(current, plan.record)
    return ""


async def _place(phone: Softphone, plan: Plan, stopped: asyncio.Event) -> str:
    current = phone.call(plan.number)
    problem = await _use(phone, current, plan, stopped, plan.duration)
    if current.answered.is_set():
        _keep(current, plan.record)
    elif not stopped.is_set():
        problem = f"the call did not succeed: {current.why}"
    if not current.ended.is_set():
        phone.hang_up(current)
    return problem


async def _use(phone: Softphone, call: PhoneCall, plan: Plan, stopped: asyncio.Event, duration: float | None) -> str:
    """Go through one call: press keys, talk, transfer. Without `duration` it lasts until somebody hangs up."""
    await _first(call.answered, stopped, None, call.ended)
    if not call.answered.is_set() or call.ended.is_set():
        return ""
    if plan.keys:
        await _first(call.ended, stopped, PRESS_PAUSE)
        if not call.ended.is_set():
            try:
                phone.press(call, plan.keys, info=plan.keys_in_info)
            except ValueError as error:
                return str(error)
    if plan.transfer_to or duration is not None:
        await _first(call.ended, stopped, plan.duration)
    if plan.transfer_to and not stopped.is_set() and not call.ended.is_set():
        return await _transfer(phone, call, plan, stopped)
    return ""


async def _transfer(phone: Softphone, call: PhoneCall, plan: Plan, stopped: asyncio.Event) -> str:
    if plan.attended:
        other = phone.call(plan.transfer_to)
        await _first(other.answered, stopped, None, other.ended)
        if not other.answered.is_set():
            return f"the call to {plan.transfer_to} did not succeed: {other.why}"
        result = phone.connect(call, other)
    else:
        result = phone.transfer(call, plan.transfer_to)
    try:
        async with asyncio.timeout(TRANSFER_LIMIT):
            status = await result
    except TimeoutError:
        status = 408
    return "" if status < 300 else f"the transfer did not succeed: {status}"


async def _first(
    event: asyncio.Event, stopped: asyncio.Event, limit: float | None, other: asyncio.Event | None = None
) -> bool:
    """Wait for an event, another one, or the end, at most `limit` seconds; whether it was the event."""
    awaited = [event, stopped, *([other] if other is not None else [])]
    waits = {asyncio.create_task(each.wait()) for each in awaited}
    await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()
    return event.is_set()


def _keep(call: PhoneCall, record: Path | None) -> None:
    lost = call.endpoint.reception.lost
    typer.echo(f"heard {len(call.heard) / wav.RATE:.1f} s from {call.peer}, {lost} packets lost")
    if record is not None:
        wav.write(record, call.heard)
