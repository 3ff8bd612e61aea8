"""What the tests stand on: networks of their own, other programs, and how skips count."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.namespaces import needs_netns
from support.network import LoopbackNetwork, claim_network
from support.postgres import needs_postgres
from support.programs import OutsideProgram, needs_program, wait_until

TESTS = Path(__file__).parent


@pytest.fixture
def networks() -> Iterator[list[LoopbackNetwork]]:
    claimed: list[LoopbackNetwork] = []
    yield claimed
    for network in claimed:
        network.release()


def test_no_two_networks_are_the_same(networks: list[LoopbackNetwork]) -> None:
    networks += [claim_network() for _ in range(20)]
    assert len({network.base for network in networks}) == 20


def test_a_network_is_claimed_against_other_processes(loopback: LoopbackNetwork) -> None:
    ours = loopback.base.split(".")[1]
    code = (
        "import random\n"
        "from support.network import claim_network\n"
        f"random.shuffle = lambda numbers: numbers.sort(key=lambda number: number != {ours})\n"
        "print(claim_network().base)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TESTS)
    assert done.stdout.strip() not in ("", loopback.base)


def test_a_network_gives_addresses_that_can_be_bound_with_any_port(loopback: LoopbackNetwork) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket() as other:
        one.bind((loopback.at("10.1"), 5060))
        other.bind((loopback.at("20.20"), 5060))


def test_a_released_network_can_be_claimed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = claim_network()
    number = int(first.base.split(".")[1])
    monkeypatch.setattr("random.shuffle", lambda numbers: numbers.__setitem__(slice(None), [number]))
    with pytest.raises(RuntimeError, match="in use"):
        claim_network()
    first.release()
    again = claim_network()
    again.release()
    assert again.base == first.base


def alive(pid: int) -> bool:
    """A zombie is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


FAMILY = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""


def test_a_program_and_its_children_are_ended_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), OutsideProgram([sys.executable, "-c", FAMILY], tmp_path / "out") as program:
        program.wait_for("child")
        child = int(program.text.split()[1])
        assert alive(child)
        raise ZeroDivisionError
    assert not program.running
    wait_until(lambda: not alive(child), lambda: "the child's end")


def test_what_a_program_started_in_a_session_of_its_own_is_ended_by_the_program(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "signal.signal(signal.SIGTERM, lambda *_: (child.kill(), sys.exit()))\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    with OutsideProgram([sys.executable, "-c", code], tmp_path / "out") as program:
        program.wait_for("child")
        child = int(program.text.split()[1])
    wait_until(lambda: not alive(child), lambda: "the child's end")


def test_waiting_for_a_line_shows_the_output_of_a_program_that_ended_without(tmp_path: Path) -> None:
    with OutsideProgram(["sh", "-c", "echo its last words"], tmp_path / "out") as program:
        with pytest.raises(AssertionError, match="its last words"):
            program.wait_for("ready")
        assert program.wait() == 0


def test_the_status_of_a_program_is_told(tmp_path: Path) -> None:
    with OutsideProgram(["sh", "-c", "exit 3"], tmp_path / "out") as program:
        assert program.wait() == 3


def test_a_missing_program_is_named_with_the_way_to_install_it() -> None:
    mark = needs_program("sh", "no-such-program-anywhere")
    assert mark.args == (True,)
    assert mark.kwargs["reason"] == "no-such-program-anywhere not installed (OPX_INSTALL_PEERS=1 make setup)"
    assert needs_program("sh").args == (False,)


@needs_netns()
def test_a_network_namespace_is_a_host_of_its_own() -> None:
    shown = subprocess.run(
        ["unshare", "--net", "ip", "-oneline", "link"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split(": ")[1] for line in shown] == ["lo"]


SKIPPING = {
    "by a mark": "import pytest\n@pytest.mark.skipif(True, reason='WHY')\ndef test_it(): pass\n",
    "by itself": "import pytest\ndef test_it(): pytest.skip('WHY')\n",
    "by a fixture": "import pytest\n@pytest.fixture\ndef f(): pytest.skip('WHY')\ndef test_it(f): pass\n",
    "as a file": "import pytest\npytest.skip('WHY', allow_module_level=True)\ndef test_it(): pass\n",
}


def run_tests(folder: Path, text: str, no_skips: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(TESTS / "conftest.py", folder / "conftest.py")
    (folder / "test_trial.py").write_text(text)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {TESTS}\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "--import-mode=importlib", "-p", "no:cacheprovider", str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**environment, "OPX_NO_SKIPS": no_skips},
    )


@pytest.mark.parametrize("how", SKIPPING)
def test_a_skip_names_its_reason_and_is_a_failure_where_none_is_allowed(how: str, tmp_path: Path) -> None:
    allowed = run_tests(tmp_path, SKIPPING[how], "")
    assert "1 skipped" in allowed.stdout
    assert "WHY" in allowed.stdout
    forbidden = run_tests(tmp_path, SKIPPING[how], "1")
    assert forbidden.returncode not in (0, 5)
    assert "was skipped where no test may be: " in forbidden.stdout
    assert "WHY" in forbidden.stdout


def test_a_test_that_is_expected_to_fail_is_no_skip(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.xfail\ndef test_it(): assert False\n"
    assert run_tests(tmp_path, text, "1").returncode == 0


def test_what_properties_are_tried_with_does_not_hang_on_the_modules_that_are_loaded() -> None:
    from hypothesis.internal.conjecture import providers

    import opx.gateway.settings

    assert opx.gateway.settings.__name__ in sys.modules
    assert len(providers._get_local_constants()) == 0


@needs_postgres()
def test_a_database_server_ends_with_the_test_run_that_was_killed() -> None:
    code = (
        "import os, signal\n"
        "from support.postgres import PostgresServer\n"
        "server = PostgresServer()\n"
        "server.start()\n"
        "print(server.pid, server.folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    folders = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    pid, folder = killed.stdout.split()
    try:
        wait_until(lambda: not Path(f"/proc/{pid}").exists())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
