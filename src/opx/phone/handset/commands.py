"""`opx phone 69xx`: one emulated handset, or a fleet of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from opx.phone.handset import cfg
from opx.phone.handset import fleet as fleets
from opx.phone.handset.drawing import screen as screen_of
from opx.phone.handset.fetching import Client, Manner
from opx.phone.handset.flash import Firmware, Flash, FlashFile, NoFirmware
from opx.phone.handset.handset import Handset, Place
from opx.phone.handset.http import HttpError
from opx.phone.handset.menu import MenuRefused, advanced, set_configuration_server
from opx.phone.handset.models import DEFAULT_VERSION, Identity
from opx.phone.handset.person import Person
from opx.phone.handset.upgrade import upgrade as upgrade_handset
from opx.phone.handset.values import Values
from opx.phone.sources import tone_source
from opx.program import log_to_stderr, owner_errors
from opx.rtp import wav
from opx.sip.transport import WheelClock

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they hold passwords
    help="An emulated 69xx, unboxed: it knows what a person types into it, and fetches the rest.",
)
DRAW_AFTER = 0.2
"""Seconds in which changes of the screen gather into one picture."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The handset on the table."""

    identity: Identity
    file: FlashFile
    local: str

    def flash(self) -> Flash:
        try:
            return self.file.read() or Flash()
        except ValueError as error:
            sys.exit(str(error))

    def values(self, flash: Flash) -> Values:
        values = Values(local=flash.local, override=flash.override)
        values.load([cfg.read(text) for text in flash.server_files.values()])
        return values


@app.callback()
def _handset(
    context: typer.Context,
    mac: Annotated[str, typer.Option(help="Its MAC address, as printed on its bottom.")] = "",
    model: Annotated[str, typer.Option(help="6905, 6910, 6915, 6920, 6930, 6940 or 6970.")] = "6930",
    state: Annotated[Path, typer.Option(help="A folder for what it keeps without power.")] = Path("handsets"),
    local: Annotated[str, typer.Option(help="The address of this machine that it has.")] = "127.0.30.1",
) -> None:
    """An emulated 69xx."""
    if context.invoked_subcommand == "fleet":
        return
    try:
        identity = Identity.of(mac, model)
    except ValueError as error:
        sys.exit(str(error))
    context.obj = Desk(identity, FlashFile(state / f"{identity.mac}.json"), local)


@app.command()
def upgrade(
    context: typer.Context,
    server: Annotated[str, typer.Argument(help="A TFTP server's address, or a URL of the folder with <model>.st.")],
) -> None:
    """Flash SIP firmware from a server of the LAN, as it must be done before anything else (guide stage 6)."""
    desk: Desk = context.obj
    flash = desk.flash()
    with owner_errors():
        client = Client(desk.local, "", Manner())
        try:
            version = uvloop.run(upgrade_handset(desk.identity, flash, client, server))
        except (HttpError, NoFirmware, ValueError) as error:
            sys.exit(f"not upgraded: {error}")
        desk.file.write(flash)
    typer.echo(f"SIP firmware {version}; reboot")


@app.command("set-server")
def set_server(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="HTTPS Server: the address from outside, or the suite's in the LAN.")],
    port: Annotated[int, typer.Option(help="HTTPS Port, or HTTP Port.")] = 8202,
    protocol: Annotated[str, typer.Option(help="Download Protocol: HTTPS, HTTP or TFTP.")] = "HTTPS",
    cert_validation: Annotated[str, typer.Option(help="Cert Validation: true or false.")] = "false",
    password: Annotated[
        str, typer.Option(prompt="Administrator password", hide_input=True, help="22222 until it is changed.")
    ] = "",
) -> None:
    """Settings > Advanced > Configuration Server: type it in, and save."""
    desk: Desk = context.obj
    flash = desk.flash()
    values = desk.values(flash)
    kind = protocol.upper()
    entries = {"Download Protocol": kind, f"{kind} Server": host, "Cert Validation": cert_validation}
    if kind != "TFTP":
        entries[f"{kind} Port"] = str(port)
    try:
        advanced(flash, values, password)
        set_configuration_server(flash, values, entries)
    except MenuRefused as error:
        sys.exit(str(error))
    with owner_errors():
        desk.file.write(flash)
    typer.echo("saved; reboot")


@app.command()
def show(context: typer.Context) -> None:
    """What the handset has on its flash, passwords left out."""
    desk: Desk = context.obj
    flash = desk.flash()
    values = desk.values(flash)
    firmware = flash.firmware
    typer.echo(f"{desk.identity.mac} {desk.identity.model.name}, {firmware.kind} firmware {firmware.version}")
    for name in sorted(values.names()):
        secret = "password" in name
        typer.echo(f"{name}: {'(set)' if secret else values[name]}{' (locked)' if values.locked(name) else ''}")


@app.command()
def run(
    context: typer.Context,
    tone: Annotated[float, typer.Option(help="Play a tone of so many Hz in calls.")] = 0.0,
    auto_answer: Annotated[bool, typer.Option(help="Answer calls by itself.")] = False,
    call: Annotated[str, typer.Option(help="Call a number once registered.")] = "",
    duration: Annotated[float, typer.Option(help="Seconds that this call lasts; 0: until somebody hangs up.")] = 0.0,
    record: Annotated[Path | None, typer.Option(help="Record what is heard in it to a WAV file.")] = None,
    screen: Annotated[bool, typer.Option(help="Draw the screen whenever it changes.")] = True,
    log_level: str = "warning",
) -> None:
    """Power on, draw the screen whenever it changes, and do what is typed: press, type, choose, call, ..., quit."""
    log_to_stderr(log_level)
    desk: Desk = context.obj
    with owner_errors():
        place = Place(desk.local, source=tone_source(tone), auto_answer=auto_answer)
        uvloop.run(_run(desk, place, FirstCall(call, duration, record) if call else None, screen))


@dataclass(frozen=True, slots=True)
class FirstCall:
    """What the handset calls by itself. `duration` in seconds, 0: until somebody hangs up."""

    number: str
    duration: float
    record: Path | None

    async def make(self, handset: Handset, say: Callable[[str], None]) -> None:
        """Says what was heard, or why the call did not succeed."""
        await handset.registered.wait()
        call = handset.call(self.number)
        waits = [asyncio.create_task(event.wait()) for event in (call.answered, call.ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self.duration and not call.ended.is_set():
            await asyncio.wait(waits[1:], timeout=self.duration)
        if self.duration and not call.ended.is_set():
            handset.hang_up(call)
        await call.ended.wait()
        if not call.answered.is_set():
            say(f"the call to {self.number} did not succeed: {call.why}")
            return
        say(f"heard {len(call.heard) / wav.RATE:.1f} s from {self.number}")
        if self.record is not None:
            wav.write(self.record, call.heard)


async def _run(desk: Desk, place: Place, first: FirstCall | None, drawing: bool) -> None:
    console = Console()
    clock = WheelClock()
    clock.start()
    say: Callable[[str], None] = typer.echo
    handset = Handset(desk.identity, desk.flash(), place, clock, on_event=say, saved=desk.file.write)

    def draw() -> None:
        console.print(screen_of(handset))

    typed = _typed_lines()
    beside = [asyncio.create_task(_draw_changes(handset, draw))] if drawing else []
    try:
        await handset.power_on()
        if first is not None:
            beside.append(asyncio.create_task(first.make(handset, say)))
        person = Person(handset, draw, say)
        while (line := await typed.get()) is not None:
            if not await person.does(line):
                break
    finally:
        for task in beside:
            task.cancel()
        await handset.power_off(sign_off=True)
        clock.stop()


def _typed_lines() -> asyncio.Queue[str | None]:
    """Lines of standard input, and None once the handset is to be powered off."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Queue[str | None] = asyncio.Queue()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, typed.put_nowait, None)

    def read() -> None:
        line = sys.stdin.readline()
        if line:
            typed.put_nowait(line)
        else:
            # Nobody types; it stays on until it is told to stop.
            loop.remove_reader(sys.stdin)

    # A file, or /dev/null, cannot be waited for: nobody types.
    with contextlib.suppress(PermissionError):
        loop.add_reader(sys.stdin, read)
    return typed


async def _draw_changes(handset: Handset, draw: Callable[[], None]) -> None:
    while True:
        await handset.changed.wait()
        handset.changed.clear()
        await asyncio.sleep(DRAW_AFTER)
        draw()


@app.command()
def fleet(
    file: Annotated[Path, typer.Argument(help="Its handsets, a line each; made when there is none.")],
    count: Annotated[int, typer.Option(help="How many handsets a new fleet has.")] = 100,
    server: Annotated[str, typer.Option(help="HTTPS Server of a new fleet.")] = "",
    port: Annotated[int, typer.Option(help="HTTPS Port of a new fleet.")] = 8202,
    model: Annotated[str, typer.Option(help="Of a new fleet.")] = "6930",
    first_mac: Annotated[str, typer.Option(help="Of a new fleet; the others follow.")] = "1400E9F00000",
    first_address: Annotated[str, typer.Option(help="Of a new fleet; each has its own.")] = "127.0.40.1",
    keepalive: Annotated[bool, typer.Option(help="One TLS connection for all requests of a boot.")] = False,
    spread: Annotated[float, typer.Option(help="Seconds over which the first requests are spread.")] = 0.0,
    limit: Annotated[float, typer.Option(help="Seconds until all must be registered.")] = 600.0,
    stay: Annotated[bool, typer.Option(help="Stay on until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON.")] = False,
    log_level: str = "error",
) -> None:
    """Power a whole fleet on at once. Exit status 1 when one is not configured and registered in the end."""
    log_to_stderr(log_level)
    with owner_errors():
        try:
            members = fleets.read_members(file)
        except FileNotFoundError:
            if not server:
                sys.exit(f"there is no {file}, and a new fleet needs --server")
            members = _new_fleet(count, model, first_mac, first_address, server, port)
        except ValueError as error:
            sys.exit(f"{file}: {error}")
        report = uvloop.run(_fleet(members, Manner(keep_alive=keepalive), spread, limit, stay, as_json))
        fleets.write_members(file, members)
    sys.exit(0 if report.complete else 1)


def _new_fleet(
    count: int, model: str, first_mac: str, first_address: str, server: str, port: int
) -> list[fleets.Member]:
    flash = Flash(Firmware("SIP", DEFAULT_VERSION))
    entries = {
        "Download Protocol": "HTTPS",
        "HTTPS Server": server,
        "HTTPS Port": str(port),
        "Cert Validation": "false",
    }
    try:
        set_configuration_server(flash, Values(local=flash.local), entries)
        return fleets.unboxed(count, model, first_mac, first_address, flash)
    except ValueError as error:
        sys.exit(str(error))


async def _fleet(
    members: list[fleets.Member], manner: Manner, spread: float, limit: float, stay: bool, as_json: bool
) -> fleets.Report:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    fleet = fleets.Fleet(members, manner, spread=spread)
    fleet.power_on()
    waiting = asyncio.create_task(fleet.wait(limit))
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({waiting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    report = fleet.report()
    used = resource.getrusage(resource.RUSAGE_SELF)
    own = {"memory": used.ru_maxrss * 1024, "cpu": used.ru_utime + used.ru_stime}
    typer.echo(json.dumps({**report.to_json(), **own}) if as_json else _said(report))
    if stay:
        await stopping
    for task in (waiting, stopping):
        task.cancel()
    await fleet.power_off()
    return report


def _said(report: fleets.Report) -> str:
    tally = report.tally
    lines = [
        f"{report.handsets} handsets: {report.configured} configured, {report.registered} registered",
        f"half of them after {report.time(0.5):.1f} s, the last one after {report.time(1.0):.1f} s",
        f"{report.second_try} needed a second try; {tally.requests} requests on {tally.connections} connections",
    ]
    lines += [f"{count} handsets: {text}" for text, count in report.troubles.items()]
    return "\n".join(lines)
