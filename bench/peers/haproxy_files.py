"""HAProxy that answers every request over TLS with the same file, out of its memory."""

from pathlib import Path

CONFIGURATION = """\
global
    maxconn 5000
    nbthread 1
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend files
    bind {address}:{port} ssl crt {pair} alpn http/1.1
    http-request return status 200 content-type "text/plain" file {file}
"""


def write(path: Path, *, address: str, port: int, certificate: Path, key: Path, file: Path) -> list[str]:
    """Its settings; returns the command that runs it in the foreground."""
    pair = path.with_suffix(".pem")
    pair.write_bytes(certificate.read_bytes() + key.read_bytes())
    path.write_text(CONFIGURATION.format(address=address, port=port, pair=pair, file=file))
    return ["haproxy", "-db", "-q", "-f", str(path)]
