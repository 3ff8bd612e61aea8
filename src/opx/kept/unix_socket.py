"""Unix sockets of a program's own, by which its processes and commands talk."""

import os
import socket
from pathlib import Path

MAX_PATH_BYTES = 107
"""Linux's bound for the path of a Unix socket."""


def bind_alone(path: Path) -> socket.socket:
    """As `bind_at`. OSError also when another process listens there."""
    _check_length(path)
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError(f"{path}: another process listens there; expected one program for one socket")
    return bind_at(path)


def bind_at(path: Path) -> socket.socket:
    """A bound socket that only its owner may use, in the place of whatever is there. OSError when it cannot be."""
    _check_length(path)
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        server.bind(str(path))
    except OSError:
        server.close()
        raise
    finally:
        os.umask(mask)
    return server


def _check_length(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OSError(f"{path}: too long for a socket; expected a path of at most {MAX_PATH_BYTES} bytes")
