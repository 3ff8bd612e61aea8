"""What the programs' `check` commands find, and how it is printed."""

import errno
import json
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import typer


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` was looked at; `text` says how it is, and what to do where something is to be done."""

    level: Level
    what: str
    text: str


def report(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print them; with an error among them the program ends with status 1."""
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            typer.echo(f"{finding.level:<8} {finding.what}: {finding.text}")
    if any(finding.level is Level.ERROR for finding in findings):
        sys.exit(1)


def bind_problem(address: str, port: int, kind: socket.SocketKind) -> int:
    """Why a socket cannot be bound there, as an errno; 0 when it can."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno or errno.EIO
    return 0


def bind_advice(problem: int, port: str, address: str) -> str:
    """What to do about it; `port` and `address` are the names of the settings."""
    if problem == errno.EADDRNOTAVAIL:
        return f"is no address of this machine; give it to an interface, or change {address}"
    if problem == errno.EADDRINUSE:
        return f"another program has this port; stop it, or change {port}"
    if problem == errno.EACCES:
        return f"the right to this port is missing; take one from 1024 on as {port}, or give CAP_NET_BIND_SERVICE"
    return f"cannot be used: {errno.errorcode.get(problem, problem)}"
