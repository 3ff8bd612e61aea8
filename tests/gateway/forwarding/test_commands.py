"""`opx gateway forward` on the command line."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.test_commands import NO_GATEWAY, Cli
from opx.gateway.control.forwards import AskForwards, ForwardLive, ForwardsLive
from opx.gateway.control.server import ControlServer, Handler

SUITE = "127.0.20.10"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)


def test_a_rule_is_added_listed_changed_and_removed(cli: Cli) -> None:
    assert cli.done("forward", "add", "8186,8187", SUITE, "--description", "Desktop [red]") == (
        f"rule 1: TCP 8186, 8187 to {SUITE}\n{NO_GATEWAY}"
    )
    listed = cli.done("forward", "list")
    assert "8186, 8187" in listed and "everyone" in listed and "Desktop [red]" in listed
    cli.done("forward", "edit", "1", "--ports", "9000-9010", "--host-port", "9000", "--source", "192.0.2.0/24")
    cli.done("forward", "edit", "1", "--protocol", "udp", "--no-snat", "--no-enabled")
    listed = cli.done("forward", "list")
    assert "9000-9010" in listed and "192.0.2.0/24" in listed and "UDP" in listed and "Desktop [red]" in listed
    (row,) = cli.query("SELECT version, enabled, snat, host_port FROM forward")
    assert row == (3, 0, 0, 9000)
    cli.done("forward", "edit", "1", "--same-port", "--any-source", "--description", "")
    assert cli.query("SELECT host_port, sources, description FROM forward") == [(None, "", "")]
    assert cli.done("forward", "remove", "1") == f"rule 1 is removed\n{NO_GATEWAY}"
    assert cli.refused("forward", "remove", "1") == "there is no port forwarding rule 1\n"
    assert cli.query("SELECT * FROM forward") == []


def test_what_must_not_be_forwarded_is_refused_with_the_reason(cli: Cli) -> None:
    assert "SIP signalling" in cli.refused("forward", "add", "5060", SUITE)
    assert "is the gateway itself" in cli.refused("forward", "add", "8185", "127.0.20.1")
    assert "is no port" in cli.refused("forward", "add", "99999", SUITE)
    assert "is no address" in cli.refused("forward", "add", "8185", "suite.example.com")
    assert "keeps closed" in cli.refused("forward", "add", "8203", SUITE)
    assert "warning: port 8203" in cli.done("forward", "add", "8203", SUITE, "--force")
    assert "is forwarded by rule 1 already" in cli.refused("forward", "add", "8200-8210", SUITE, "--force")
    assert "say opposite things" in cli.refused("forward", "edit", "1", "--same-port", "--host-port", "1", status=2)


def test_a_rule_without_snat_is_warned_of(cli: Cli) -> None:
    assert "does not know teleworkers" in cli.done("forward", "add", "8185", SUITE, "--no-snat")


def test_the_preset_shows_first_and_makes_what_is_missing(cli: Cli) -> None:
    shown = cli.done("forward", "preset", SUITE, "--client", "69xx", "--client", "mobile")
    assert "8202" in shown and "8185" in shown and "8190" not in shown and "2001" not in shown
    assert "--apply" in shown
    assert cli.query("SELECT * FROM forward") == []
    cli.done("forward", "preset", SUITE, "--client", "69xx", "--apply")
    made = cli.done("forward", "preset", SUITE, "--client", "69xx", "--client", "mobile", "--apply")
    assert "8185" in made and "8202" not in made
    assert cli.query("SELECT ports, snat, enabled FROM forward ORDER BY id") == [("8202", 1, 1), ("8185", 1, 1)]
    again = cli.done("forward", "preset", SUITE, "--client", "69xx", "--client", "mobile", "--apply")
    assert again == "all of these rules are there already\n"


def test_the_preset_makes_nothing_where_one_of_its_ports_leads_elsewhere(cli: Cli) -> None:
    cli.done("forward", "add", "8190", "127.0.20.99")
    said = cli.refused("forward", "preset", SUITE, "--client", "mobile", "--client", "mobile-softphone", "--apply")
    assert "TCP 8190 is forwarded by rule 1 already" in said
    assert len(cli.query("SELECT * FROM forward")) == 1


@contextmanager
def answering(folder: Path, live: ForwardsLive) -> Iterator[None]:
    """Something that answers as a running gateway does."""

    async def forwards(question: AskForwards) -> ForwardsLive:
        return live

    started, stopped = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        server = ControlServer(folder / "gateway.sock", {AskForwards.name: Handler(AskForwards, forwards)})
        await server.start()
        loops.append(asyncio.get_running_loop())
        started.set()
        await stopped.wait()
        await server.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    started.wait()
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(stopped.set)
        thread.join()


def test_the_status_shows_what_is_in_force_and_ends_with_1_when_not_all_is(cli: Cli) -> None:
    assert "no gateway is running here" in cli.refused("forward", "status")
    cli.done("forward", "add", "8185", SUITE)
    good = ForwardLive(id=1, version=1, state="in force", why="", connections=7, open=2, bytes_up=100, bytes_down=200)
    with answering(cli.folder, ForwardsLive(driver="userspace", remark="loopback", problem="", rules=(good,))):
        said = cli.done("forward", "status")
        assert "driver: userspace (loopback)" in said and f"TCP 8185 to {SUITE}" in said and "in force" in said
    bad = good.model_copy(update={"state": "not in force", "why": "port 8185 is in use"})
    with answering(cli.folder, ForwardsLive(driver="userspace", remark="", problem="", rules=(bad,))):
        assert "port 8185 is in use" in cli.refused("forward", "status")
