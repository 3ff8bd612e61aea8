"""`opx gateway calls`, `call` and `alarms`: what an engineer looks at when something went wrong."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from opx.commandline import print_table, run_work
from opx.gateway.commands.common import CONFIG, ConfigOption, settings_of, with_repository
from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import CallDetails, ControlError, StreamFigures
from opx.gateway.faults import pcap, spreadsheet
from opx.gateway.faults.kinds import KINDS
from opx.gateway.faults.ladder import ladder
from opx.gateway.faults.messages import CallTrace, from_wire
from opx.gateway.faults.records import CallRecord
from opx.gateway.faults.repository import CallQuery, FaultsRepository
from opx.gateway.repository import Repository
from opx.gateway.settings import GatewaySettings

MAX_CSV = 1_000_000
"""Records of one file."""

faults_app = typer.Typer(add_completion=False)


@faults_app.command("calls")
def calls(
    search: Annotated[str, typer.Option(help="In names, numbers, addresses and reasons.")] = "",
    outcome: Annotated[str, typer.Option(help="answered, refused, cancelled or failed.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 25,
    csv: Annotated[Path | None, typer.Option(help="Write all of them into this file instead of showing some.")] = None,
    config: ConfigOption = CONFIG,
) -> None:
    """List the calls that are over, the newest first."""
    query = CallQuery(search=search, outcome=outcome)
    settings = settings_of(config)
    if csv is not None:
        written = with_repository(settings, lambda repository: _write_csv(repository, query, csv))
        typer.echo(f"{written} calls written to {csv}")
        return
    found, total = with_repository(settings, lambda repository: _calls(repository, query, limit))
    columns = ("Call", "Started", "Device", "Caller", "Called party", "Talked", "Outcome", "Why")
    print_table(columns, [_row(record) for record in found])
    if total > len(found):
        typer.echo(f"{len(found)} of {total}")


@faults_app.command("call")
def call(
    call_id: str,
    pcap_file: Annotated[Path | None, typer.Option("--pcap", help="Write its SIP messages into this file.")] = None,
    messages: Annotated[bool, typer.Option("--messages", help="Show the messages themselves, too.")] = False,
    config: ConfigOption = CONFIG,
) -> None:
    """Show one call, going on or over: its record, its media and the ladder of its SIP messages."""
    settings = settings_of(config)
    record, stored = with_repository(settings, lambda repository: _stored(repository, call_id))
    details, live = run_work(_live(settings, call_id))
    trace = live or stored
    if record is None and details is None and trace is None:
        sys.exit(f"there is no call {call_id}")
    if record is not None:
        print_table(("", call_id), _about(record))
    elif details is not None:
        one = details.call
        typer.echo(f"{one.direction} call of {one.device}, {one.caller} to {one.callee}: {one.state}")
        if details.media is not None:
            print_table(
                ("", call_id), [*_stream("phone", details.media.set_side), *_stream("ICP", details.media.icp_side)]
            )
    if trace is None:
        typer.echo("its messages are not kept any more")
        return
    if pcap_file is not None:
        pcap_file.write_bytes(pcap.encode(trace.messages))
        typer.echo(f"{len(trace.messages)} messages written to {pcap_file}")
        return
    _show_ladder(trace, messages)


@faults_app.command("alarms")
def alarms(
    all_: Annotated[bool, typer.Option("--all", help="Those that are cleared, too.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Send a trial alarm by every way out.")] = False,
    config: ConfigOption = CONFIG,
) -> None:
    """List the alarms that stand."""
    settings = settings_of(config)
    if test:
        _try_out(settings)
        return

    async def work(repository: Repository) -> list[tuple[str, ...]]:
        found, _ = await FaultsRepository(repository.engine).alarms(standing=not all_, limit=1000)
        return [
            (_when(alarm.raised_at), _when(alarm.cleared_at) or "stands", alarm.title(KINDS), alarm.cause)
            for alarm in found
        ]

    print_table(("Raised", "Cleared", "Alarm", "Cause"), with_repository(settings, work))


def _try_out(settings: GatewaySettings) -> None:
    async def work() -> dict[str, str]:
        client = ControlClient(settings.control_socket)
        try:
            return await client.test_alarm()
        finally:
            await client.close()

    try:
        ways = asyncio.run(work())
    except ControlError as error:
        sys.exit(str(error))
    if not ways:
        sys.exit("no way out is configured; expected [alarms] email_to or [webhook] url in the settings")
    for way, problem in ways.items():
        typer.echo(f"{way}: {problem or 'delivered'}")
    if any(ways.values()):
        sys.exit(1)


async def _calls(repository: Repository, query: CallQuery, limit: int) -> tuple[list[CallRecord], int]:
    return await FaultsRepository(repository.engine).calls(query, limit=limit)


async def _write_csv(repository: Repository, query: CallQuery, file: Path) -> int:
    faults = FaultsRepository(repository.engine)
    records = [record async for record in faults.each_call(query, MAX_CSV)]
    await asyncio.to_thread(file.write_text, "".join(spreadsheet.lines(records)), "utf-8", newline="")
    return len(records)


async def _stored(repository: Repository, call_id: str) -> tuple[CallRecord | None, CallTrace | None]:
    faults = FaultsRepository(repository.engine)
    try:
        return await faults.call(call_id), await faults.ladder(call_id)
    except ValueError as error:
        sys.exit(str(error))


async def _live(settings: GatewaySettings, call_id: str) -> tuple[CallDetails | None, CallTrace | None]:
    """What a running gateway knows of it beside what is stored."""
    client = ControlClient(settings.control_socket)
    details: CallDetails | None = None
    trace: CallTrace | None = None
    try:
        trace = from_wire(await client.ladder(call_id))
        details = await client.call(call_id)
    except ControlError:
        return details, trace
    finally:
        await client.close()
    return details, trace


def _row(record: CallRecord) -> tuple[str, ...]:
    talked = f"{record.talked:.0f} s" if record.answered_at else ""
    why = " ".join(filter(None, (record.status_text, f"({record.reason})")))
    return (
        record.call_id,
        _when(record.started_at),
        record.device,
        record.caller,
        record.callee,
        talked,
        record.outcome,
        why,
    )


def _about(record: CallRecord) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("Device", f"{record.device} ({record.direction})"),
        ("Caller, called party", f"{record.caller}, {record.callee}"),
        ("Phone", " ".join(filter(None, (record.phone, record.user_agent)))),
        ("ICP", f"{record.icp} {record.node}"),
        ("Started, rang", f"{_when(record.started_at)}, {_when(record.rang_at) or 'never'}"),
        ("Answered, ended", f"{_when(record.answered_at) or 'never'}, {_when(record.ended_at)}"),
        ("Outcome", f"{record.outcome} {record.status_text}, ended by {record.ended_by}: {record.reason}"),
        ("Codec", record.codec or "none"),
    ]
    if record.media is not None:
        rows += [*_stream("phone", record.media.set_side), *_stream("ICP", record.media.icp_side)]
    return rows


def _stream(name: str, stream: StreamFigures) -> list[tuple[str, ...]]:
    figures = f"{stream.packets} packets, {stream.lost} lost, jitter {stream.jitter:.1f} ms"
    if stream.told_lost is not None:
        figures += f"; it reports {stream.told_lost} lost, jitter {stream.told_jitter or 0.0:.1f} ms of what it hears"
    return [(f"From the {name}", f"{stream.remote or 'nowhere'} to {stream.local}: {figures}")]


def _show_ladder(trace: CallTrace, messages: bool) -> None:
    drawn = ladder(trace.messages)
    names: list[str] = [" ".join(filter(None, (party.label, party.address))) for party in drawn.parties]
    rows: list[tuple[str, ...]] = []
    for step in drawn.steps:
        arrow = "->" if step.target > step.source else "<-"
        left, right = sorted((step.source, step.target))
        title = step.title + (" (again)" if step.repeated else "")
        rows.append((f"{step.after:.3f}", names[left], arrow, names[right], title, step.method))
    print_table(("Seconds", "", "", "", "Message", "Of"), rows)
    if trace.left_out:
        typer.echo(f"{trace.left_out} further messages in the middle were not kept")
    if messages:
        for step in drawn.steps:
            text = "".join(char if char.isprintable() or char == "\n" else "" for char in step.message.text)
            typer.echo(f"\n--- {step.after:.3f} s, {step.message.transport}\n{text}")


def _when(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""
