"""What a handset costs its configuration server: CPU per new TLS connection and per file, beside HAProxy.

Handsets open a connection for each file, without resumption. HAProxy answers with the same file out of its memory, with
the same certificate, on the same one processor: what it takes is what TLS costs. The digest, which no HAProxy asks for,
is told apart: a connection with a challenge and a file that only the phone itself gets.
"""

import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from figures import Goal, Metric
from harness import Bench, Contender, PinnedProgram, Plan, Void, run, server_core
from opx.sip.digest import Challenge, DigestClient
from peers import haproxy_files
from support.network import claim_network
from support.programs import wait_until

SERVER = Path(__file__).parent / "handset_server.py"
PORT = 8202
OPX, HAPROXY = "OPX", "HAProxy"
AGENT = "Mitel6930 MAC:14-00-E9-12-34-56 V:6.4.0.140-SIP"
OWN_FILE, COMMON_FILE = "/1400E9123456.cfg", "/startup.cfg"
ON_ONE_CONNECTION = 900
"""Requests on a connection that is kept; either server ends one after a thousand."""


class Phone:
    """A handset's connections to one server, each made anew. `files` counts what it was given."""

    def __init__(self, address: str, own: str, authority: Path) -> None:
        self._address = address
        self._own = own
        self._context = ssl.create_default_context(cafile=str(authority))

    @contextmanager
    def connected(self) -> Iterator[ssl.SSLSocket]:
        plain = socket.create_connection((self._address, PORT), timeout=10, source_address=(self._own, 0))
        with plain, self._context.wrap_socket(plain, server_hostname=self._address) as one:
            yield one

    def ask(self, one: ssl.SSLSocket, path: str, more: str = "") -> tuple[int, str]:
        """Status and head of the answer; Void when it breaks off."""
        one.sendall(f"GET {path} HTTP/1.1\r\nHost: suite\r\nUser-Agent: {AGENT}\r\n{more}\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += one.recv(65536) or _broken()
        head, _, body = answer.partition(b"\r\n\r\n")
        text = head.decode("latin-1").lower()
        length = int(text.partition("content-length: ")[2].partition("\r\n")[0])
        while len(body) < length:
            body += one.recv(65536) or _broken()
        return int(text.split(" ", 2)[1]), head.decode("latin-1")

    def file(self) -> None:
        with self.connected() as one:
            _good(self.ask(one, COMMON_FILE)[0])

    def own_file(self) -> None:
        """Challenged, and answered as a handset of its factory does."""
        with self.connected() as one:
            _, head = self.ask(one, OWN_FILE)
            line = next(line for line in head.split("\r\n") if line.lower().startswith("www-authenticate:"))
            challenge = Challenge.parse(line.partition(":")[2].strip())
            header = DigestClient("aastra", "aastra").answer([challenge], "GET", OWN_FILE)
            assert header is not None
            _good(self.ask(one, OWN_FILE, f"Authorization: {header[1]}\r\n")[0])


def _broken() -> bytes:
    raise Void("a connection broke off")


def _good(status: int) -> None:
    if status != 200:
        raise Void(f"status {status} instead of a file")


@contextmanager
def server(folder: Path, address: str) -> Iterator[PinnedProgram]:
    """Ours, with a LAN around it and nothing in its database."""
    settings = folder / "suite.toml"
    network = address.rsplit(".", 2)[0]
    settings.write_text(f'address = "{address}"\n[handsets]\nhttp = false\nlan = ["{network}.0.0/16"]\n')
    command = [sys.executable, str(SERVER), str(settings)]
    with PinnedProgram(command, folder / "server.txt", core=server_core()) as program:
        program.wait_for("ready")
        yield program


def _each(program: PinnedProgram, seconds: float, work: Callable[[], int]) -> float:
    """Microseconds of the server's CPU for each of what `work` does and counts, for so long."""
    work()
    before, done, end = program.cpu_seconds(), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        done += work()
    return (program.cpu_seconds() - before) / done * 1e6


def _common(program: PinnedProgram, phone: Phone, seconds: float) -> dict[str, float]:
    def new() -> int:
        phone.file()
        return 1

    with phone.connected() as one:
        _good(phone.ask(one, COMMON_FILE)[0])
        before = program.cpu_seconds()
        for _ in range(ON_ONE_CONNECTION):
            _good(phone.ask(one, COMMON_FILE)[0])
        per_file = (program.cpu_seconds() - before) / ON_ONE_CONNECTION * 1e6
    return {"connection": _each(program, seconds, new), "file": per_file}


def ours(seconds: float) -> Mapping[str, float]:
    network = claim_network()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        try:
            with server(folder, network.at("20.10")) as program:
                phone = Phone(network.at("20.10"), network.at("20.101"), folder / "suite-certificates" / "ca.pem")

                def own() -> int:
                    phone.own_file()
                    return 1

                return {**_common(program, phone, seconds), "own file": _each(program, seconds, own)}
        finally:
            network.release()


def peer(seconds: float) -> Mapping[str, float]:
    network = claim_network()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        address = network.at("20.10")
        try:
            with server(folder, address):
                certificates = folder / "suite-certificates"
            file = folder / "startup.cfg"
            file.write_bytes(b"download protocol: HTTPS\n" * 40)
            command = haproxy_files.write(
                folder / "haproxy.cfg",
                address=address,
                port=PORT,
                certificate=certificates / "server.pem",
                key=certificates / "server.key",
                file=file,
            )
            with PinnedProgram(command, folder / "haproxy.txt", core=server_core()) as program:
                wait_until(lambda: _listens(address) or not program.running, lambda: program.text)
                if not program.running:
                    raise Void(f"HAProxy ended: {program.text}")
                return _common(program, Phone(address, network.at("20.101"), certificates / "ca.pem"), seconds)
        finally:
            network.release()


def _listens(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, PORT)) == 0


BENCH = Bench(
    "handsets",
    "a handset's requests, each on a new TLS connection and on one that is kept; server on one processor",
    (
        Metric("connection", "us of CPU", higher_is_better=False),
        Metric("file", "us of CPU", higher_is_better=False),
        Metric("own file", "us of CPU", higher_is_better=False),
    ),
    (Contender(OPX, ours), Contender(HAPROXY, peer, ("haproxy",))),
    (Goal("connection", 3, HAPROXY),),
    full=Plan(rounds=5, seconds=3.0),
    quick=Plan(rounds=3, seconds=1.0),
)

if __name__ == "__main__":
    sys.exit(run(BENCH))
