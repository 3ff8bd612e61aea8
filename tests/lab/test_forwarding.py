"""Port forwarding across the lab: a client at home behind NAT, a host on the office LAN, and a gateway that dies."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import URL

from opx.gateway.control.client import ControlClient
from opx.gateway.control.forwards import ForwardsLive, OriginFound
from opx.gateway.forwarding.repository import ForwardRepository
from opx.lab.lab import Lab, LabView
from opx.lab.plan import INSIDE, OUTSIDE, PBX
from opx.store.engine import open_engine
from support.forwarding import SITE, spec
from support.gateway_store import opened
from support.lab import run_in
from support.namespaces import needs_lab
from support.programs import OutsideProgram, wait_until

pytestmark = needs_lab()

HOME, HOME_ADDRESS = "home1", "203.0.113.7"
FOREIGN = """
table inet office {
    counter seen {
    }
    chain input {
        type filter hook input priority 0; policy accept;
        tcp dport 1 drop
    }
}
"""
HOST = """
import socket, threading
def serve(one, source):
    one.sendall(f"{source[0]} {source[1]}\\n".encode())
    while data := one.recv(65536):
        one.sendall(data)
    one.close()
listener = socket.create_server(("0.0.0.0", 8185), backlog=100)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()
"""
"""Says where it sees a connection come from, and sends everything back."""
CLIENT = """
import socket, sys
one = socket.create_connection((sys.argv[1], 8185), timeout=30)
print(*one.getsockname(), flush=True)
print(one.recv(100).decode().strip(), flush=True)
for line in sys.stdin:
    one.sendall(line.encode())
    got = b""
    while not got.endswith(b"\\n"):
        part = one.recv(100)
        if not part:
            sys.exit("over")
        got += part
    print(got.decode().strip(), flush=True)
"""


class Client:
    """A connection from home, which sends what it is told."""

    def __init__(self, view: LabView) -> None:
        self._process = subprocess.Popen(
            [*view.prefix(HOME), sys.executable, "-c", CLIENT, OUTSIDE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.local = self._line().split()
        address, port = self._line().split()
        self.seen = (address, int(port))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def echo(self, text: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass
class Office:
    """A gateway in the lab with one forward to the host."""

    view: LabView
    folder: Path
    driver: str

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"

    def write(self) -> None:
        self.config.write_text(f"""\
control_socket = "{self.folder}/gateway.sock"
[set_side]
address = "{OUTSIDE}"
[icp_side]
address = "{INSIDE}"
[forwarding]
driver = "{self.driver}"
check_interval = 1
""")

    def gateway(self, name: str) -> OutsideProgram:
        command = [sys.executable, "-m", "opx", "gateway", "run", "--config", str(self.config)]
        return OutsideProgram([*self.view.prefix("gateway"), *command], self.folder / f"{name}.txt")

    def opx(self, *arguments: str) -> str:
        code = "import sys; from opx.cli import main; sys.argv[1:1] = ['gateway']; main()"
        return run_in(self.view, "gateway", code, *arguments, "--config", str(self.config))

    def forward(self) -> None:
        """The rule, as the command makes it."""

        async def add() -> None:
            async with opened(self.folder):
                engine = open_engine(URL.create("sqlite+aiosqlite", database=str(self.folder / "gateway.db")))
                await ForwardRepository(engine, SITE).add(spec("8185", PBX))
                await engine.dispose()

        asyncio.run(add())

    def ask_origin(self, client: Client) -> OriginFound:
        async def ask() -> OriginFound:
            control = ControlClient(self.folder / "gateway.sock")
            try:
                return await control.origin(*client.seen, host=(PBX, 8185))
            finally:
                await control.close()

        return asyncio.run(ask())

    def live(self) -> ForwardsLive:
        async def ask() -> ForwardsLive:
            control = ControlClient(self.folder / "gateway.sock")
            try:
                return await control.forwards()
            finally:
                await control.close()

        return asyncio.run(ask())

    def nft(self, *arguments: str, text: str = "") -> str:
        command = [*self.view.prefix("gateway"), "nft", *arguments]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        return done.stdout

    def foreign(self) -> str:
        return self.nft("-a", "list", "table", "inet", "office")


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabView]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    view = lab.start()
    output = tmp_path_factory.mktemp("host") / "output.txt"
    with OutsideProgram([*view.prefix("lan"), sys.executable, "-c", HOST], output) as host:
        host.wait_for("ready")
        yield view
    lab.stop()


@pytest.fixture(params=["nftables", "userspace"])
def office(request: pytest.FixtureRequest, view: LabView, tmp_path: Path) -> Iterator[Office]:
    made = Office(view, tmp_path, request.param)
    made.write()
    made.nft("-f", "-", text=FOREIGN)
    yield made
    made.nft("delete", "table", "inet", "office")


def test_forwards_reach_the_lan_survive_the_gateway_and_touch_nothing_else(office: Office) -> None:
    before = office.foreign()
    assert "rule 1: TCP 8185 to 10.20.0.20" in office.opx("forward", "add", "8185", PBX)
    with ExitStack() as stack:
        gateway = stack.enter_context(office.gateway("first"))
        gateway.wait_for("ready:")
        client = stack.enter_context(Client(office.view))
        # The LAN sees the gateway, and the gateway knows who it is: the home's router, not the phone behind it.
        assert client.seen[0] == INSIDE
        found = office.ask_origin(client)
        assert (found.known, found.address, found.outside_port, found.forward_id) == (True, HOME_ADDRESS, 8185, 1)
        assert "in force" in office.opx("forward", "status")
        gateway.kill()
        assert client.echo("after the gateway's death") == "after the gateway's death"
        with Client(office.view) as late:
            assert late.seen[0] == INSIDE and late.echo("a new one") == "a new one"
        again = stack.enter_context(office.gateway("second"))
        again.wait_for("ready:")
        assert client.echo("after its return") == "after its return"
        assert office.ask_origin(client) == found
        live = office.live()
        assert (live.driver, live.problem, [one.state for one in live.rules]) == (office.driver, "", ["in force"])
        assert live.rules[0].connections == 2
        assert office.foreign() == before
        again.stop()
        assert client.echo("after an orderly stop") == ""
    assert office.foreign() == before
    assert "opx" not in office.nft("list", "tables")


@pytest.mark.parametrize("office", ["nftables"], indirect=True)
def test_rules_that_somebody_flushed_are_put_in_force_again(office: Office) -> None:
    office.forward()
    with office.gateway("gateway") as gateway:
        gateway.wait_for("ready:")
        office.nft("delete", "table", "ip", "opx")
        wait_until(lambda: "table ip opx" in office.nft("list", "tables"))
        with Client(office.view) as client:
            assert client.echo("again") == "again"


def test_a_change_of_the_driver_leaves_nothing_of_the_other_one(office: Office) -> None:
    other = Office(office.view, office.folder, {"nftables": "userspace", "userspace": "nftables"}[office.driver])
    office.forward()
    with office.gateway("first") as gateway:
        gateway.wait_for("ready:")
        gateway.kill()
        other.write()
        with other.gateway("second") as again:
            again.wait_for("ready:")
            assert other.live().driver == other.driver
            assert ("table ip opx" in other.nft("list", "tables")) is (other.driver == "nftables")
            workers = list(office.folder.glob("gateway.sock.f*"))
            assert bool(workers) is (other.driver == "userspace")
            with Client(office.view) as client:
                assert client.seen[0] == INSIDE
