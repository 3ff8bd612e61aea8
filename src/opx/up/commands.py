"""`opx up`."""

import asyncio
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from opx.supervisor import Program, StartFailed, Supervisor
from opx.up.demo import Demo
from opx.up.site import DemoFailed, Network

app = typer.Typer(add_completion=False, help="Run the programs together on this machine.")

PROGRAMS = ("pbx", "suite", "gateway")


@app.callback(invoke_without_command=True)
def up(
    site: Annotated[
        Path, typer.Option(help="A folder with gateway.toml, suite.toml, pbx.toml; those found run.")
    ] = Path(),
    demo: Annotated[
        bool, typer.Option("--demo", help="A whole site on the loopback network, and a first call.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="With --demo: end after the call, 0 when it went well.")] = False,
    folder: Annotated[Path | None, typer.Option(help="With --demo: where the demo keeps its files.")] = None,
    base: Annotated[str, typer.Option(help="With --demo: the first two numbers of its addresses.")] = "127.0",
) -> None:
    """Run the programs together on this machine until Ctrl-C."""
    if once and not demo:
        sys.exit("--once goes with --demo")
    if demo and folder is None and once:
        with tempfile.TemporaryDirectory(prefix="opx-demo-") as temporary:
            sys.exit(asyncio.run(_demo(Path(temporary), Network(base), once=True)))
    elif demo:
        sys.exit(asyncio.run(_demo((folder or Path("var/demo")).absolute(), Network(base), once=once)))
    else:
        sys.exit(asyncio.run(_site(site.absolute())))


async def _demo(folder: Path, network: Network, *, once: bool) -> int:
    stopped = _stop_event()
    demo = Demo(folder, network, _say)
    try:
        starting = asyncio.create_task(_whole(demo))
        stopping = asyncio.create_task(stopped.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 130
        starting.result()
        _say("the demo's call went well: registered through the gateway, audio both ways")
        if not once:
            _say(f"gateway, suite and PBX node keep running; their files are in {folder}. Ctrl-C ends them.")
            await stopping
        return 0
    except (DemoFailed, StartFailed) as error:
        _say(f"the demo failed: {error}")
        return 1
    finally:
        await demo.stop()


async def _whole(demo: Demo) -> None:
    await demo.start()
    await demo.run_through()


async def _site(folder: Path) -> int:
    found = [name for name in PROGRAMS if (folder / f"{name}.toml").exists()]
    if not found:
        _say(f"no settings in {folder}; expected one or more of gateway.toml, suite.toml, pbx.toml")
        return 1
    stopped = _stop_event()
    supervisor = Supervisor(lambda name, line: _say(f"{name:<8} {line}"))
    try:
        await supervisor.start(
            [Program(name, (name, "run", "--config", str(folder / f"{name}.toml"))) for name in found]
        )
        await stopped.wait()
        return 0
    except StartFailed as error:
        _say(str(error))
        return 1
    finally:
        await supervisor.stop()


def _stop_event() -> asyncio.Event:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    return stopped


def _say(text: str) -> None:
    typer.echo(text)
