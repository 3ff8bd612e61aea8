"""`opx lab`."""

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from opx.lab import entering
from opx.lab.lab import Lab, LabError, LabView, find
from opx.lab.plan import HOMES, OUTSIDE, PHONE, Alg, picture
from opx.lab.site import EXTENSIONS, LabSite
from opx.supervisor import StartFailed

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Homes behind NAT, a gateway and an office LAN on this machine."
)

FOLDER = Path("var/lab")
Folder = Annotated[Path, typer.Option(help="Where the lab keeps its files.")]


@app.command()
def up(
    folder: Folder = FOLDER,
    alg: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOME[=KIND]",
            help=f"A home whose router rewrites SIP; kinds are {', '.join(kind for kind in Alg if kind != Alg.NONE)}.",
        ),
    ] = None,
) -> None:
    """Build the lab and run its programs until Ctrl-C."""
    folder = folder.absolute()
    try:
        algs = dict(_alg(text) for text in alg or [])
        sys.exit(asyncio.run(_up(Lab(folder, algs), folder)))
    except LabError as error:
        sys.exit(str(error))


@app.command()
def status(folder: Folder = FOLDER) -> None:
    """Show the hosts of the lab that runs. Exit status 1 when none does."""
    view = _find(folder)
    typer.echo(f"the lab runs in {folder}, its holder is process {view.pid}")
    typer.echo(picture(view.algs))


# What stands behind HOST is the command's, its options included.
@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
)
def shell(
    context: typer.Context,
    host: Annotated[str, typer.Argument(help="home1, home2, gateway, lan, internet, or a home's router.")],
    folder: Folder = FOLDER,
) -> None:
    """Open a shell in a host of the lab, or run a COMMAND there: opx lab shell HOST [COMMAND...]."""
    view = _find(folder)
    try:
        view.prefix(host)
    except LabError as error:
        sys.exit(str(error))
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    command = context.args or [os.environ.get("SHELL") or "/bin/sh"]
    try:
        sys.exit(entering.run(view.pid, host, command))
    except OSError as error:
        sys.exit(f"cannot enter {host}: {error.strerror}")


@app.command()
def rebind(
    home: Annotated[str, typer.Argument(help="home1 or home2.")],
    folder: Folder = FOLDER,
) -> None:
    """Let a home's router forget its NAT mappings, as at a restart."""
    view = _find(folder)
    router = next((known.router for known in HOMES if known.name == home), None)
    if router is None:
        sys.exit(f"there is no home {home!r}; expected {' or '.join(known.name for known in HOMES)}")
    if subprocess.run([*view.prefix(router), sys.executable, "-m", "opx.lab.rebinding"]).returncode != 0:
        sys.exit(1)
    typer.echo(f"{router} has forgotten its mappings")


async def _up(lab: Lab, folder: Path) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    view = lab.start()
    site = LabSite(view, folder, typer.echo)
    gone = asyncio.create_task(asyncio.to_thread(lab.wait))
    try:
        starting = asyncio.create_task(site.start())
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 130
        starting.result()
        typer.echo(_welcome(view, folder))
        await asyncio.wait({stopping, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            typer.echo("the lab is gone: its holder was killed")
        return 0 if stopping.done() else 1
    except StartFailed as error:
        typer.echo(f"the lab failed: {error}")
        return 1
    finally:
        await site.stop()
        lab.stop()


def _welcome(view: LabView, folder: Path) -> str:
    try:
        shown = folder.relative_to(Path.cwd())
    except ValueError:
        shown = folder
    where = "" if shown == FOLDER else f" --folder {shlex.quote(str(shown))}"
    call = (
        f"opx lab shell{where} home1 opx phone run --user home1 --password-file {shown}/home1.password"
        f" --server {OUTSIDE} --local {PHONE} --call {EXTENSIONS['office']}"
    )
    extensions = ", ".join(f"{number} {name}" for name, number in EXTENSIONS.items())
    return f"""
{picture(view.algs)}

Extensions: {extensions}; *9 is an echo. Passwords are in {shown}.
A phone at home calls the office phone, which answers by itself:
  {call}
A shell in a host: opx lab shell{where} home1
the lab is up; Ctrl-C ends it"""


def _alg(text: str) -> tuple[str, Alg]:
    home, _, kind = text.partition("=")
    try:
        return home, Alg(kind or Alg.CARELESS)
    except ValueError:
        kinds = ", ".join(known for known in Alg)
        raise LabError(f"{kind!r} is no kind of ALG; expected one of {kinds}") from None


def _find(folder: Path) -> LabView:
    try:
        return find(folder)
    except LabError as error:
        sys.exit(str(error))
