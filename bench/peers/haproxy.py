"""HAProxy in TCP mode between two addresses, as it comes: no setting beyond what it takes to forward."""

from pathlib import Path

CONFIGURATION = """\
global
    maxconn 5000
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen forward
    bind {outside}:{port}
    source {inside}
    server host {host}:{port}
"""


def write(path: Path, *, outside: str, inside: str, host: str, port: int) -> list[str]:
    """Its settings; returns the command that runs it in the foreground."""
    path.write_text(CONFIGURATION.format(outside=outside, inside=inside, host=host, port=port))
    return ["haproxy", "-db", "-q", "-f", str(path)]
