"""Port forwarding as the gateway runs it: which driver, what becomes of a rule, and what heals by itself."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from opx.config import ConfigError
from opx.gateway.control.client import ControlClient
from opx.gateway.control.protocol import NotAllowed
from opx.gateway.control.server import ControlServer
from opx.gateway.forwarding.desk import ForwardingDesk
from opx.gateway.forwarding.interface import ForwardingError
from opx.gateway.forwarding.nftables.driver import NftablesDriver
from opx.gateway.forwarding.reconciler import State
from opx.gateway.forwarding.settings import ForwardingSettings
from support.forwarding import Hosts, Network, receive, run, send, until
from support.forwarding_office import Office, Open, settings_for
from support.namespaces import needs_lab, needs_netns


async def test_rules_are_taken_over_changed_switched_off_and_removed(office: Office) -> None:
    listener = office.hosts.listener(8185)
    number = await office.wanted("8185")
    status = await office.forwarding.status()
    assert (status.driver, status.problem) == ("userspace", "")
    assert "loopback" in status.remark
    client = await office.hosts.connect(8185)
    _, source = await office.hosts.accept(listener)
    found = await office.forwarding.origin(*source, host=(office.hosts.host, 8185))
    assert found is not None and (found.address, found.port) == client.getsockname()
    one = await office.one(number)
    assert (one.state, one.why, one.traffic.connections, one.traffic.open) == (State.IN_FORCE, "", 1, 1)

    await office.rules.change(number, office.spec("8186", host_port=8185))
    # Until it is told, the gateway goes on as it was, and says so.
    assert (await office.one(number)).state is State.NOT_IN_FORCE
    await office.forwarding.changed()
    await office.hosts.connect(8186)
    await office.hosts.accept(listener)
    await office.rules.change(number, office.spec("8186", enabled=False))
    await office.forwarding.changed()
    assert (await office.one(number)).state is State.OFF
    with pytest.raises(ConnectionRefusedError):
        await office.hosts.connect(8186)
    await office.rules.remove(number)
    await office.forwarding.changed()
    assert (await office.forwarding.status()).rules == ()


async def test_a_change_of_devices_alone_does_not_bother_the_driver(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.wanted("8185")
    monkeypatch.setattr(office.forwarding._driver, "apply", None)
    await office.forwarding.changed()


async def test_no_process_is_started_for_nothing_and_none_is_left(office: Office) -> None:
    assert office.forwarding._userspace.pids == []
    number = await office.wanted("8185")
    worker = office.worker
    await office.rules.remove(number)
    await office.forwarding.changed()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert list(office.socket.parent.glob("gateway.sock*")) == []


async def test_a_port_that_another_program_has_is_named_and_taken_once_it_is_free(office: Office) -> None:
    with socket.create_server((office.hosts.outside, 8185)):
        number = await office.wanted("8185, 8186")
        one = await office.one(number)
        assert (one.state, one.why) == (
            State.NOT_IN_FORCE,
            "TCP port 8185 is in use by another program of this machine",
        )
        # Half a rule would be worse than none.
        with pytest.raises(ConnectionRefusedError):
            await office.hosts.connect(8186)
        assert office.news == [f"port forwarding rule {number}: {one.why}"]
    await until(lambda: office.is_in(number, State.IN_FORCE))


async def test_without_snat_the_userspace_driver_says_that_it_cannot(office: Office) -> None:
    number = await office.wanted("8185", snat=False)
    one = await office.one(number)
    assert one.state is State.NOT_IN_FORCE and "nftables driver" in one.why
    assert "does not know teleworkers" in one.warnings[0]


async def test_a_rule_of_very_many_ports_is_beyond_the_userspace_driver(office: Office) -> None:
    number = await office.wanted("10000-12000")
    assert "2001 ports" in (await office.one(number)).why


async def test_a_worker_that_dies_is_started_again_with_all_its_rules(office: Office) -> None:
    listener = office.hosts.listener(8185)
    number = await office.wanted("8185")
    before = office.worker
    os.kill(before, signal.SIGKILL)
    await until(lambda: _other_worker(office, before))
    assert (await office.one(number)).state is State.IN_FORCE
    await office.hosts.connect(8185)
    await office.hosts.accept(listener)
    assert any("is not in force any more" in text for text in office.news)


async def _other_worker(office: Office, before: int) -> bool:
    pids = office.forwarding._userspace.pids
    return (
        bool(pids)
        and pids != [before]
        and all(one.state is State.IN_FORCE for one in (await office.forwarding.status()).rules)
    )


async def test_what_the_settings_forbid_by_now_is_refused_with_the_reason(open_office: Open, hosts: Hosts) -> None:
    before = await open_office(hosts)
    (made,) = await before.rules.add(before.spec("7777"))
    after = await open_office(hosts, "[media]\nrtp_ports = [7000, 7999]\n")
    (udp,) = await before.rules.add(before.spec("7778", protocol=type(made.spec.protocol).UDP))
    await after.forwarding.start()
    assert (await after.one(made.id)).state is State.IN_FORCE
    one = await after.one(udp.id)
    assert one.state is State.NOT_IN_FORCE and "media.rtp_ports" in one.why


async def test_origins_and_states_are_told_on_the_control_socket(office: Office) -> None:
    listener = office.hosts.listener(8185)
    number = await office.wanted("8185")
    server = ControlServer(office.socket, ForwardingDesk(office.forwarding).handlers)
    await server.start()
    control = ControlClient(office.socket)
    try:
        client = await office.hosts.connect(8185)
        _, source = await office.hosts.accept(listener)
        found = await control.origin(*source, host=(office.hosts.host, 8185))
        assert (found.known, found.address, found.port) == (True, *client.getsockname())
        assert (found.outside_port, found.forward_id) == (8185, number)
        assert not (await control.origin(office.hosts.inside, 1)).known
        live = await control.forwards()
        assert [(one.id, one.version, one.state, one.open) for one in live.rules] == [(number, 1, "in force", 1)]
        office.forwarding._driver = None
        with pytest.raises(NotAllowed):
            await control.origin(*source)
    finally:
        await control.close()
        await server.stop()


def test_nftables_is_refused_for_a_loopback_site(hosts: Hosts) -> None:
    with pytest.raises(ConfigError, match="where the kernel forwards nothing"):
        settings_for(hosts, 'driver = "nftables"\n')
    with pytest.raises(ConfigError, match="is above idle_limit"):
        settings_for(hosts, "idle_limit = 10\n")
    with pytest.raises(ConfigError, match="is above connections"):
        settings_for(hosts, "connections = 10\n")


# --- in the kernel


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as made:
        yield made


@needs_netns()
@needs_lab()
async def test_the_kernel_is_preferred_and_heals(open_office: Open, network: Network) -> None:
    office = await open_office(network)
    await office.forwarding.start()
    listener = network.listener(8185)
    number = await office.wanted("8185")
    assert (await office.forwarding.status()).driver == "nftables"
    client = await network.connect(8185)
    server, _ = await network.accept(listener)
    run("nft", "flush", "chain", "ip", "opx", f"in_{number}")
    await until(lambda: office.is_in(number, State.IN_FORCE))
    assert office.news == [
        f"port forwarding: rule {number} is not in force any more; it is put in force again",
    ]
    await send(client, b"still")
    assert await receive(server) == b"still"
    run("nft", "add table ip block")
    run("nft", "add chain ip block f { type filter hook forward priority 0; policy drop; }")
    await until(lambda: office.is_in(number, State.HINDERED))
    assert "policy of chain ip block f" in (await office.one(number)).why
    run("nft", "delete table ip block")
    await until(lambda: office.is_in(number, State.IN_FORCE))
    # The address may move to another interface, which the rules have to follow.
    run("ip", "link", "set", "outside", "down")
    run("ip", "link", "set", "outside", "name", "wan")
    run("ip", "link", "set", "wan", "up")
    await until(lambda: office.is_in(number, State.IN_FORCE))
    assert 'iifname "wan"' in run("nft", "list", "table", "ip", "opx")


async def test_where_all_is_well_nothing_is_written_again(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.wanted("8185")
    driver = office.forwarding._driver
    assert driver is not None
    looks: list[str] = []
    real = driver.in_force

    async def in_force() -> object:
        looks.append("look")
        return await real()

    async def apply(wanted: object) -> object:
        looks.append("write")
        return {}

    monkeypatch.setattr(driver, "in_force", in_force)
    monkeypatch.setattr(driver, "apply", apply)

    async def looked_twice() -> bool:
        return len(looks) >= 2

    await until(looked_twice)
    assert "write" not in looks


@needs_netns()
@needs_lab()
async def test_a_driver_takes_away_what_the_other_one_has_left(open_office: Open, network: Network) -> None:
    office = await open_office(network, 'driver = "userspace"\n')
    left = NftablesDriver(network.policy())
    await left.apply([network.route(1, "8185")])
    await office.forwarding.start()
    assert run("nft", "list", "tables") == ""
    number = await office.wanted("8185")
    assert (await office.one(number)).state is State.IN_FORCE
    worker = office.worker
    kernel = await open_office(network)
    kernel.forwarding._settings = replace_driver(kernel, "nftables")
    await kernel.forwarding.start()
    assert (await kernel.one(number)).state is State.IN_FORCE
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def replace_driver(office: Office, driver: str) -> ForwardingSettings:
    return office.forwarding._settings.model_copy(update={"driver": driver})


@needs_netns()
async def test_without_the_right_the_wish_for_nftables_is_said_to_be_in_vain(
    open_office: Open, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = await open_office(network, 'driver = "nftables"\n')
    monkeypatch.setattr("opx.gateway.forwarding.nftables.nft.shutil.which", lambda name: None)
    await office.forwarding.start()
    number = await office.wanted("8185")
    one = await office.one(number)
    assert one.state is State.NOT_IN_FORCE and "not installed" in one.why
    with pytest.raises(ForwardingError, match="not installed"):
        await office.forwarding.origin("10.0.0.1", 1)
    monkeypatch.undo()
    await until(lambda: office.is_in(number, State.IN_FORCE))
