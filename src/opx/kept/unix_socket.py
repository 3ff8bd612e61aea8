"""Unix sockets of a program's own, by which its processes and commands talk."""

import os
import socket
from pathlib import Path

MAX_PATH_BYTES = 107
"""Linux's bound for the path of a Unix socket."""


def listen_at(path: Path) -> socket.socket:
    """A bound socket that only its owner may use. OSError when the path cannot be used, or another process has it."""
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise OSError(f"{path}: too long for a socket; expected a path of at most {MAX_PATH_BYTES} bytes")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError(f"{path}: another process listens there; expected one program for one socket")
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
