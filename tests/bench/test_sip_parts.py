"""The parts of the SIP bench: what sipp is given and says, and what the probe measures."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness import memory
from peers.sipp import SCENARIOS, read_statistics, write_scenario, write_users
from sip_load import Measured
from sip_probe import Probe, at
from support.network import LoopbackNetwork
from support.programs import wait_until


def test_the_last_line_of_the_statistics_counts_and_the_worst_second_is_found(tmp_path: Path) -> None:
    path = tmp_path / "statistics.csv"
    path.write_text(
        "SuccessfulCall(C);FailedCall(C);Retransmissions(P);Retransmissions(C);\n10;0;0;0;\n20;1;7;7;\n30;1;2;9;\n"
    )
    result = read_statistics(path)
    assert (result.succeeded, result.failed, result.retransmissions, result.worst_second) == (30, 1, 9, 7)


@pytest.mark.parametrize("name", sorted(path.stem for path in SCENARIOS.glob("*.xml")))
def test_every_scenario_is_well_formed_and_knows_how_long_its_calls_last(tmp_path: Path, name: str) -> None:
    text = write_scenario(name, tmp_path, hold=1.5).read_text()
    ElementTree.fromstring(text)
    assert '"HOLD"' not in text
    assert ('"1500"' in text) == name.startswith("call")


def test_users_come_in_order_with_their_credentials(tmp_path: Path) -> None:
    write_users(tmp_path / "users.csv", ["a", "b"])
    head, first, second = (tmp_path / "users.csv").read_text().splitlines()
    assert head == "SEQUENTIAL"
    assert first.startswith("a;[authentication username=a ") and second.startswith("b;")


def test_what_failed_does_not_count_for_the_figure() -> None:
    assert Measured(count=100, cpu=0.5, failed=10, retransmissions=0).per_second == 180


def test_the_memory_of_children_counts() -> None:
    grown = "import sys, time; data = bytearray(b'x' * 50_000_000); print('ready', flush=True); time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grown!r}])"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            assert memory(process.pid) > 50_000_000
        finally:
            subprocess.run(["kill", "-KILL", "--", f"-{process.pid}"], check=True)


def test_the_probe_tells_when_an_answer_arrived_from_when_it_was_read(loopback: LoopbackNetwork) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((loopback.at("1.1"), 5060))
        server.settimeout(0.1)
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                try:
                    data, source = server.recvfrom(4096)
                except TimeoutError:
                    continue
                time.sleep(0.005)
                server.sendto(data.replace(b"OPTIONS sip:", b"SIP/2.0 200 OK ", 1), source)

        thread = threading.Thread(target=answer)
        thread.start()
        with Probe((loopback.at("1.1"), 5060), loopback.at("1.2")) as probe:
            wait_until(lambda: len(probe.delays.arrived) > 2)
        over.set()
        thread.join()
    delays = probe.delays
    assert at(delays.arrived, 0.0) >= 0.005
    assert all(one <= other for one, other in zip(delays.arrived, delays.read, strict=True))


def test_no_values_have_no_share() -> None:
    assert at([], 0.5) != at([], 0.5)
    assert at([1.0, 2.0, 3.0], 0.5) == 2.0
    assert at([1.0, 2.0, 3.0], 1.0) == 3.0
