"""`opx phone`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from opx.phone.handset.commands import app as handsets
from opx.phone.plan import Plan, run_plan
from opx.phone.softphone import Account, Softphone
from opx.phone.sources import file_source, tone_source
from opx.program import log_to_stderr, owner_errors

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A phone for trials, tests and diagnosis.")
app.add_typer(handsets, name="69xx")


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
    auto_answer: Annotated[bool, typer.Option(help="Answer calls; else they only ring.")] = True,
    dtmf: Annotated[str, typer.Option(help="Keys to press in the call, in RTP or else by INFO.")] = "",
    dtmf_info: Annotated[bool, typer.Option(help="Press keys by INFO in any case.")] = False,
    transfer_to: Annotated[
        str, typer.Option(help="Transfer the other end to this number when --duration is over.")
    ] = "",
    attended: Annotated[bool, typer.Option(help="Call the number first and connect the two when it answers.")] = False,
    messages: Annotated[bool, typer.Option(help="Subscribe to the message lamp.")] = False,
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
            source = file_source(play) if play is not None else tone_source(tone)
        except ValueError as error:
            sys.exit(str(error))
        plan = Plan(call, duration, record, calls, dtmf, dtmf_info, transfer_to, attended)

        async def work() -> str:
            phone = Softphone(
                account,
                local,
                port=local_port,
                source=source,
                auto_answer=auto_answer,
                watch_messages=messages,
                expires=expires,
                on_event=lambda text: typer.echo(text),
            )
            await phone.start()
            try:
                return await run_plan(phone, plan)
            finally:
                await phone.stop()

        sys.exit(uvloop.run(work()) or 0)
