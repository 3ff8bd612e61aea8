"""The gateway's web process: beside signalling, started again, never left behind."""

import os
import re
import signal
import socket
import sqlite3
import ssl
import sys
from pathlib import Path

import httpx

from support.network import LoopbackNetwork
from support.programs import OutsideProgram, wait_until


def settings_in(folder: Path, network: LoopbackNetwork) -> Path:
    path = folder / "gateway.toml"
    path.write_text(f'[set_side]\naddress = "{network.at("10.1")}"\n[icp_side]\naddress = "{network.at("20.1")}"\n')
    return path


def gateway(folder: Path, settings: Path) -> OutsideProgram:
    arguments = [sys.executable, "-m", "opx", "gateway", "run", "--config", str(settings)]
    return OutsideProgram(arguments, folder / "output.txt")


def web_process_of(gateway: OutsideProgram) -> int:
    """The process id, 0 when there is none."""
    children = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    for child in children:
        try:
            if "opx.gateway.web.process" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
        except OSError:
            continue
    return 0


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def get(folder: Path, url: str) -> httpx.Response:
    context = ssl.create_default_context(cafile=str(folder / "certificates" / "ca.pem"))
    with httpx.Client(verify=context, trust_env=False) as client:
        return client.get(url)


def answers(folder: Path, url: str) -> bool:
    try:
        return get(folder, url).status_code == 200
    except httpx.TransportError:
        return False


def test_the_gateway_tells_where_its_console_is_and_how_to_sign_in_first(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, loopback)
    url = f"https://{loopback.at('20.1')}:8443/"
    with gateway(tmp_path, settings) as first:
        first.wait_for("ready: gateway")
        assert f"console at {url}" in first.text
        assert str(tmp_path / "certificates" / "ca.pem") in first.text
        (link,) = re.findall(rf"({re.escape(url)}link/\S+)", first.text)
        assert "first administrator" in get(tmp_path, link).text
        # On the LAN side only.
        with socket.socket() as outside:
            assert outside.connect_ex((loopback.at("10.1"), 8443)) != 0
        first.stop()
    assert link.rsplit("/", 1)[1].encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("gateway.db*"))


def test_a_console_that_dies_is_started_again_and_the_gateway_goes_on(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    url = f"https://{loopback.at('20.1')}:8443/health"
    with gateway(tmp_path, settings_in(tmp_path, loopback)) as running:
        running.wait_for("ready: gateway")
        before = web_process_of(running)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: web_process_of(running) not in (0, before), lambda: running.text)
        wait_until(lambda: answers(tmp_path, url), lambda: running.text)
        assert running.running
        running.stop()


def test_the_console_ends_with_its_gateway_however_that_one_ends(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, loopback)
    for end in (OutsideProgram.stop, OutsideProgram.kill):
        with gateway(tmp_path, settings) as running:
            running.wait_for("ready: gateway")
            web = web_process_of(running)
            assert is_running(web)
            end(running)
            wait_until(lambda web=web: not is_running(web), lambda: "the web process to end")  # type: ignore[misc]


def test_a_console_that_cannot_start_is_named_and_stops_no_call(loopback: LoopbackNetwork, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((loopback.at("20.1"), 8443))
        taken.listen()
        with gateway(tmp_path, settings_in(tmp_path, loopback)) as running:
            running.wait_for("ready: gateway")
            assert f"console is away ({loopback.at('20.1')}:8443 cannot be listened on)" in running.text
            taken.close()
            running.wait_for("console at https://")
            running.stop()


def test_who_claims_to_come_from_elsewhere_is_taken_for_where_it_comes_from(
    loopback: LoopbackNetwork, tmp_path: Path
) -> None:
    url = f"https://{loopback.at('20.1')}:8443/sign-in"
    with gateway(tmp_path, settings_in(tmp_path, loopback)) as running:
        running.wait_for("ready: gateway")
        context = ssl.create_default_context(cafile=str(tmp_path / "certificates" / "ca.pem"))
        with httpx.Client(verify=context, trust_env=False) as client:
            page = client.get(url)
            token = re.search(r'name="form_token" value="(\w+)"', page.text)
            assert token
            data = {"form_token": token[1], "name": "ada", "password": "wrong"}
            client.post(url, data=data, headers={"X-Forwarded-For": "192.0.2.1"})
        running.stop()
    with sqlite3.connect(tmp_path / "gateway.db") as database:
        assert database.execute("SELECT source FROM console_audit").fetchall() == [("127.0.0.1",)]
