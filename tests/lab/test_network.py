"""The lab's network: kinds of NAT, nothing in or out, and an end whatever happens."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opx.lab.lab import Lab, LabError, LabView, find
from opx.lab.plan import HOMES, HOSTS, LINKS, PHONE, Alg
from support.lab import run_in
from support.namespaces import kernel_has_alg, needs_lab
from support.programs import PATIENCE, OutsideProgram, wait_until

pytestmark = needs_lab()

STUN_LIKE = """
import select, socket
sockets = {}
for host in ("192.0.2.1", "192.0.2.2"):
    for port in (3478, 3479):
        sockets[host, port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sockets[host, port].bind((host, port))
print("ready", flush=True)
while True:
    for one in select.select(list(sockets.values()), [], [])[0]:
        data, source = one.recvfrom(100)
        if data == b"strangers":
            for other in sockets.values():
                if other is not one:
                    other.sendto(b"let in", source)
        one.sendto(f"{source[0]} {source[1]}".encode(), source)
"""
"""Tells who it hears from where that comes from; when asked, others write there first."""

ASK = """
import socket
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.bind(("192.168.1.10", 40000))
one.settimeout(10)
for host, text in (("192.0.2.1", b"who"), ("192.0.2.2", b"who"), ("192.0.2.1", b"strangers")):
    one.sendto(text, (host, 3478))
    while True:
        answer = one.recv(100).decode()
        print(answer)
        if answer != "let in":
            break
"""

LINKS_SEEN = "import socket; print(*(name for _, name in socket.if_nameindex()))"


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabView]:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    yield lab.start()
    lab.stop()


@pytest.fixture(scope="module")
def server(view: LabView, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server on the internet at two addresses."""
    output = tmp_path_factory.mktemp("server") / "output.txt"
    with OutsideProgram([*view.prefix("internet"), sys.executable, "-c", STUN_LIKE], output) as program:
        program.wait_for("ready")
        yield


def mappings(view: LabView, home: str) -> list[str]:
    """What the server saw and what was let in, in order: two destinations, then strangers."""
    return run_in(view, home, ASK).splitlines()


@pytest.mark.usefixtures("server")
def test_a_port_restricted_nat_keeps_one_mapping_and_lets_in_only_whom_the_phone_wrote_to(view: LabView) -> None:
    # Of the three strangers one is the server's other address, which the phone has written to.
    assert mappings(view, "home1") == ["203.0.113.7 40000"] * 2 + ["let in", "203.0.113.7 40000"]


@pytest.mark.usefixtures("server")
def test_a_symmetric_nat_has_another_mapping_for_each_destination_and_lets_in_no_other(view: LabView) -> None:
    first, second, third = mappings(view, "home2")
    assert first.startswith("203.0.113.71 ") and second.startswith("203.0.113.71 ")
    assert first != second
    assert third == first


@pytest.mark.usefixtures("server")
def test_a_router_that_forgets_its_mappings_gives_a_symmetric_home_new_ones(view: LabView) -> None:
    before = mappings(view, "home2")
    router = HOMES[1].router
    assert subprocess.run([*view.prefix(router), sys.executable, "-m", "opx.lab.rebinding"]).returncode == 0
    after = mappings(view, "home2")
    assert before[0] != after[0]
    # Without that, a mapping of before lasts.
    assert mappings(view, "home2")[0] == after[0]


def test_no_host_has_a_way_out_of_the_lab(view: LabView) -> None:
    planned = {host: {"lo"} for host in HOSTS}
    for link in LINKS:
        for host, interface, _ in link.ends:
            planned[host].add(interface)
    assert {host: set(run_in(view, host, LINKS_SEEN).split()) for host in HOSTS} == planned


def test_the_homes_cannot_see_the_office_lan_nor_each_other(view: LabView) -> None:
    try_all = """
import socket
for address, patience in (("10.20.0.20", 20), ("10.20.0.1", 20), ("203.0.113.71", 0.3), ("198.51.100.10", 20)):
    one = socket.socket()
    one.settimeout(patience)
    try:
        one.connect((address, 5060))
    except TimeoutError:
        print(address, "silent")
    except OSError as error:
        print(address, error.strerror)
"""
    seen = dict(line.split(" ", 1) for line in run_in(view, "home1", try_all).splitlines())
    assert seen == {
        "10.20.0.20": "Network is unreachable",
        "10.20.0.1": "Network is unreachable",
        "203.0.113.71": "silent",
        "198.51.100.10": "Connection refused",
    }


def network_namespaces() -> dict[str, set[int]]:
    """All network namespaces that processes of this machine are in, with who is."""
    found: dict[str, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.setdefault(str((entry / "ns" / "net").readlink()), set()).add(int(entry.name))
            except OSError:
                continue  # it ended just now, or is another user's
    return found


SLEEP = "import time; print('in', flush=True); time.sleep(1000)"
OWNER = """
import sys, time
from pathlib import Path
from opx.lab.lab import Lab
lab = Lab(Path(sys.argv[1]))
print("up", lab.start().pid, flush=True)
time.sleep(1000)
"""


@pytest.mark.parametrize("who", ["owner", "outer holder", "inner holder"])
def test_nothing_is_left_of_a_lab_when_one_of_its_processes_is_killed(tmp_path: Path, who: str) -> None:
    named = sorted(path.name for path in Path("/run/netns").glob("*"))
    with OutsideProgram([sys.executable, "-c", OWNER, str(tmp_path)], tmp_path / "output.txt") as owner:
        owner.wait_for("up")
        view = find(tmp_path)
        outer = int(Path(f"/proc/{view.pid}/stat").read_text().rpartition(")")[2].split()[1])
        sleeping = [*view.prefix("home1"), sys.executable, "-c", SLEEP]
        with OutsideProgram(sleeping, tmp_path / "sleeping.txt") as program:
            program.wait_for("in")
            spaces = [
                run_in(view, host, "import os; print(os.readlink('/proc/self/ns/net'))").strip() for host in HOSTS
            ]
            assert len(set(spaces)) == len(HOSTS)
            assert spaces[1] in network_namespaces()
            victim = {"owner": owner.pid, "outer holder": outer, "inner holder": view.pid}[who]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: not set(spaces) & set(network_namespaces()), lambda: "the lab's hosts to be gone")
            assert program.wait() == 128 + signal.SIGKILL
        wait_until(lambda: not Path(f"/proc/{view.pid}/root/run/netns").exists())
    assert sorted(path.name for path in Path("/run/netns").glob("*")) == named
    with pytest.raises(LabError, match="no lab runs"):
        find(tmp_path)


def test_a_lab_stops_with_all_that_runs_in_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    view = lab.start()
    sleeping = [*view.prefix("gateway"), sys.executable, "-c", SLEEP]
    with OutsideProgram(sleeping, tmp_path / "sleeping.txt") as program:
        program.wait_for("in")
        lab.stop()
        assert program.wait() == 128 + signal.SIGKILL
    with pytest.raises(LabError, match="no lab runs"):
        find(tmp_path)


def test_there_is_one_lab_in_a_folder(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.start()
    with pytest.raises(LabError, match="runs already"):
        Lab(tmp_path).start()
    lab.stop()
    again = Lab(tmp_path)
    again.start()
    again.stop()


def opx(*arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, sys.executable, "-m", "opx", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )


def test_a_command_in_a_host_has_its_name_and_its_exit_status(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.start()
    where = ("lab", "shell", "--folder", str(tmp_path))
    done = opx(*where, "home2", "sh", "-c", "hostname; hostname -I; exit 7")
    assert (done.returncode, done.stdout.split()) == (7, ["home2", PHONE])
    unknown = opx(*where, "home3", "true")
    assert unknown.returncode == 1 and "there is no host 'home3'" in unknown.stderr
    assert opx(*where, "lan", "no-such-program").returncode == 127
    assert opx(*where, "lan", "echo", "--folder", "--help").stdout == "--folder --help\n"
    status = opx("lab", "status", "--folder", str(tmp_path))
    assert status.returncode == 0 and "symmetric NAT" in status.stdout
    lab.stop()
    (tmp_path / "file").write_text("")
    unwritable = opx("lab", "up", "--folder", str(tmp_path / "file" / "lab"))
    assert unwritable.returncode == 1 and "cannot write to" in unwritable.stderr
    for command in ("status", "rebind"):
        gone = opx("lab", command, "--folder", str(tmp_path), *(["home1"] if command == "rebind" else []))
        assert gone.returncode == 1 and "no lab runs" in gone.stderr


def test_strange_homes_and_algs_are_named(tmp_path: Path) -> None:
    for option, text in (("home9", "there is no home 'home9'"), ("home1=rude", "'rude' is no kind of ALG")):
        done = opx("lab", "up", "--folder", str(tmp_path), "--alg", option)
        assert done.returncode == 1 and text in done.stderr


AS_NOBODY_SPECIAL = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Without any capability outside of what it makes itself, and with another user id than root's."""


def test_a_user_without_any_right_can_build_one(tmp_path: Path) -> None:
    before = AS_NOBODY_SPECIAL if os.geteuid() == 0 else ()
    with OutsideProgram([*before, sys.executable, "-c", OWNER, str(tmp_path)], tmp_path / "output.txt") as owner:
        owner.wait_for("up")
        view = find(tmp_path)
        assert Path(f"/proc/{view.pid}/ns/user").readlink() != Path(f"/proc/{owner.pid}/ns/user").readlink()
        assert run_in(view, "home1", LINKS_SEEN).split() == ["lo", "eth0"]


def test_where_neither_root_nor_user_namespaces_are_to_be_had_the_reason_is_said(tmp_path: Path) -> None:
    forbid = 'for kind in user net; do echo 0 > /proc/sys/user/max_${kind}_namespaces; done; exec "$@"'
    before = ("unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh")
    done = opx("lab", "up", "--folder", str(tmp_path), before=before)
    assert done.returncode == 1
    assert "run it as root, or where users may make user namespaces" in done.stderr
    assert "user.max_user_namespaces is 0" in done.stderr


@pytest.mark.parametrize(
    "alg", [alg for alg in Alg if alg is not Alg.NONE and (alg is not Alg.KERNEL or kernel_has_alg())]
)
def test_each_kind_of_alg_lets_other_datagrams_through(tmp_path: Path, alg: Alg) -> None:
    lab = Lab(tmp_path, {"home1": alg})
    view = lab.start()
    with OutsideProgram(
        [*view.prefix("internet"), sys.executable, "-c", STUN_LIKE], tmp_path / "server.txt"
    ) as program:
        program.wait_for("ready")
        assert mappings(view, "home1")[0] == f"{HOMES[0].public} 40000"
    lab.stop()
