"""`opx phone`."""

from __future__ import annotations

import asyncio
import signal
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from opx.phone.softphone import Account, PhoneCall, Softphone
from opx.program import log_to_stderr, owner_errors
from opx.rtp import tones, wav
from opx.rtp.endpoint import FRAME_SAMPLES

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A phone for trials, tests and diagnosis.")

REGISTER_LIMIT = 40.0
"""Seconds to wait for the first answer to REGISTER."""


@app.callback()
def _program() -> None:
    """A phone for trials, tests and diagnosis."""


@app.command()
def run(
    user: Annotated[str, typer.Option(help="User name at the server (the set-side one at a gateway).")],
    password_file: Annotated[Path, typer.Option(help="A file with the password.")],
    server: Annotated[str, typer.Option(help="Address of the gateway or PBX.")],
    local: Annotated[str, typer.Option(help="Address of this machine to use.")],
    server_port: int = 5060,
    local_port: int = 5060,
    transport: str = "UDP",
    call: Annotated[str, typer.Option(help="A number to call once registered.")] = "",
    duration: Annotated[float, typer.Option(help="Seconds that the call lasts.")] = 5.0,
    tone: Annotated[float, typer.Option(help="Play a tone of so many Hz.")] = 0.0,
    play: Annotated[Path | None, typer.Option(help="Play a WAV file (8 kHz, mono, 16 bit).")] = None,
    record: Annotated[Path | None, typer.Option(help="Record what is heard to a WAV file.")] = None,
    calls: Annotated[int, typer.Option(help="End after so many answered calls; 0: go on until Ctrl-C.")] = 0,
    expires: int = 300,
    log_level: str = "warning",
) -> None:
    """Register, call or answer, play and record; prints what happens. Exit status 1 when something did not succeed."""
    log_to_stderr(log_level)
    with owner_errors():
        account = Account(
            user, password_file.read_text(encoding="utf-8").strip(), server, server_port, transport.upper()
        )
        try:
            source = _source(tone, play)
        except ValueError as error:
            sys.exit(str(error))

        async def work() -> str:
            phone = Softphone(
                account, local, port=local_port, source=source, expires=expires, on_event=lambda text: typer.echo(text)
            )
            await phone.start()
            try:
                return await _use(phone, call, duration, record, calls)
            finally:
                await phone.stop()

        sys.exit(uvloop.run(work()) or 0)


async def _use(phone: Softphone, number: str, duration: float, record: Path | None, calls: int) -> str:
    """What went wrong, "" when nothing did."""
    stopped = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(sign, stopped.set)
    phone.register()
    if not await _first(phone.tried, stopped, REGISTER_LIMIT) or not phone.registered.is_set():
        return "" if stopped.is_set() else "could not register"
    if number:
        return await _place(phone, number, duration, record, stopped)
    answered = 0
    while not stopped.is_set() and (calls == 0 or answered < calls):
        phone.called.clear()
        if not await _first(phone.called, stopped, None) or not phone.calls:
            continue
        current = phone.calls[0]
        await _first(current.ended, stopped, None)
        if current.answered.is_set():
            answered += 1
            _keep(current, record)
    return ""


async def _place(phone: Softphone, number: str, duration: float, record: Path | None, stopped: asyncio.Event) -> str:
    current = phone.call(number)
    over = asyncio.create_task(current.ended.wait())
    picked_up = asyncio.create_task(current.answered.wait())
    stop = asyncio.create_task(stopped.wait())
    await asyncio.wait({over, picked_up, stop}, return_when=asyncio.FIRST_COMPLETED)
    if current.answered.is_set():
        await asyncio.wait({over, stop}, timeout=duration, return_when=asyncio.FIRST_COMPLETED)
        _keep(current, record)
    problem = "" if current.answered.is_set() or stopped.is_set() else f"the call did not succeed: {current.why}"
    if not current.ended.is_set():
        phone.hang_up(current)
    for task in (over, picked_up, stop):
        task.cancel()
    return problem


async def _first(event: asyncio.Event, stopped: asyncio.Event, limit: float | None) -> bool:
    """Wait for an event or the end; whether it was the event."""
    waits = {asyncio.create_task(event.wait()), asyncio.create_task(stopped.wait())}
    await asyncio.wait(waits, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    for task in waits:
        task.cancel()
    return event.is_set()


def _keep(call: PhoneCall, record: Path | None) -> None:
    lost = call.endpoint.reception.lost
    typer.echo(f"heard {len(call.heard) / wav.RATE:.1f} s from {call.peer}, {lost} packets lost")
    if record is not None:
        wav.write(record, call.heard)


def _source(tone: float, play: Path | None) -> Callable[[int], array[int]] | None:
    if play is not None:
        samples = wav.read(play)

        def from_file(position: int) -> array[int]:
            frame = samples[position : position + FRAME_SAMPLES]
            return frame + array("h", [0] * (FRAME_SAMPLES - len(frame)))

        return from_file
    if tone:
        return lambda position: tones.sine(tone, FRAME_SAMPLES, start=position)
    return lambda position: array("h", [0] * FRAME_SAMPLES)
