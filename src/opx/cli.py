"""The `opx` command. Each program brings its own commands and is loaded only when it is called for."""

import importlib
import sys

import typer

from opx import __version__

PROGRAMS = {
    "gateway": "The border gateway: SIP, media and calls between the internet and the office.",
    "lab": "Homes behind NAT, a gateway and an office LAN in network namespaces, to try things.",
    "pbx": "A PBX node: extensions, calls between them, test numbers.",
    "phone": "A phone: registers, calls, answers, plays and records.",
    "suite": "The application suite (a placeholder so far).",
    "up": "Run the programs together on this machine; --demo shows a first call.",
}


def main() -> None:
    """Entry of the console script."""
    if not sys.platform.startswith("linux"):
        sys.exit("opx runs on Linux only: it needs Linux's socket options and all of 127.0.0.0/8")
    arguments = sys.argv[1:]
    if arguments and arguments[0] in PROGRAMS:
        program = arguments[0]
        app: typer.Typer = importlib.import_module(f"opx.{program}.commands").app
        app(args=arguments[1:], prog_name=f"opx {program}")
    else:
        _overview(arguments)


def _overview(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        typer.echo(f"opx {__version__}")
        return
    if arguments and arguments not in (["--help"], ["-h"]):
        typer.echo(f"opx: there is no command {arguments[0]!r}; opx --help lists them", err=True)
        sys.exit(2)
    typer.echo("Usage: opx PROGRAM [OPTIONS] COMMAND\n\nPrograms:")
    for name, text in PROGRAMS.items():
        typer.echo(f"  {name:<9}{text}")
    typer.echo("\nopx PROGRAM --help says more; opx --version the release.")
